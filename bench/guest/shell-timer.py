"""Times a bare InteractiveShell: `1 + 1` so many times, then its resident memory. Prints a line of JSON."""

import json
import sys
import time

from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.displayhook.write_output_prompt = lambda: None
shell.displayhook.write_format_data = lambda *_: None
samples = []
for _ in range(int(sys.argv[1])):
    start = time.perf_counter()
    shell.run_cell("1 + 1", store_history=True)
    samples.append((time.perf_counter() - start) * 1000)
resident = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024
print(json.dumps({"samples": samples, "resident": resident}))
