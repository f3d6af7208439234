"""Runs the cells of one context in a kernel of Jupyter, through its own protocol. The server speaks to this process over
descriptor 3, see process/messages.ts: frames of JSON. What the kernel's messages hold reaches the server that way. What it writes to
its own stdout and stderr is its log, which Jupyter shows to nobody either; the end of it is told if the kernel ends."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from queue import Empty

try:
    from jupyter_client import BlockingKernelClient
    from jupyter_client.connect import write_connection_file
    from jupyter_client.kernelspec import KernelSpecManager
except ImportError as error:
    sys.exit(f"{error}. Kernels of Jupyter need it: apt-get install python3-jupyter-client, or pip install jupyter-client")

CHANNEL = 3
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
READY_S = 50
# How often it is looked whether a kernel that says nothing is still there.
LOOK_S = 1
LOG_BYTES = 4096
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

# How variables are set in a kernel of a language; those of other languages keep what the kernel was started with.
VARIABLES = {
    "python": lambda name, value: (
        f"__import__('os').environ.pop({name!r}, None)" if value is None else f"__import__('os').environ[{name!r}] = {value!r}"
    ),
    "bash": lambda name, value: f"unset {name}" if value is None else f"export {name}='" + value.replace("'", "'\\''") + "'",
}


def say(message):
    body = json.dumps(message, separators=(",", ":")).encode("utf-8", "backslashreplace")
    if len(body) > MAX_MESSAGE_BYTES:
        return say({"type": "stderr", "text": f"An output of {len(body)} bytes was left out: at most {MAX_MESSAGE_BYTES}\n"})
    left = memoryview(struct.pack(">I", len(body)) + body)
    while left:
        left = left[os.write(CHANNEL, left) :]


def read(size):
    parts = []
    while size:
        part = os.read(CHANNEL, min(size, 1024 * 1024))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def hear():
    head = read(4)
    body = head and read(struct.unpack(">I", head)[0])
    return json.loads(body) if body else None


def put(kind, content):
    """Says one message of the kernel's. Returns whether it is the last one of its cell."""
    if kind == "status":
        return content["execution_state"] == "idle"
    if kind == "stream":
        say({"type": "stderr" if content["name"] == "stderr" else "stdout", "text": content["text"]})
    elif kind in ("execute_result", "display_data", "update_display_data"):
        data = dict(content["data"])
        display_id = (content.get("transient") or {}).get("display_id")
        if display_id is not None:
            update = kind == "update_display_data"
            data["application/vnd.islet.display+json"] = {"id": str(display_id), "update": update}
        say({"type": "result", "main": kind == "execute_result", "data": data})
    elif kind == "error":
        trace = COLOURS.sub("", "\n".join(content["traceback"]))
        say({"type": "error", "name": content["ename"], "value": content["evalue"], "traceback": trace})
    return False


class Kernel:
    """In the process group of this process: an interrupt of the group reaches it, and so does its end."""

    def __init__(self, name):
        self.spec = KernelSpecManager().get_kernel_spec(name)
        file, _ = write_connection_file(kernel_name=name, key=os.urandom(32).hex().encode())
        command = [part.replace("{connection_file}", file).replace("{resource_dir}", self.spec.resource_dir) for part in self.spec.argv]
        environment = {**os.environ, **self.spec.env, "JPY_PARENT_PID": str(os.getpid())}
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.client = BlockingKernelClient(connection_file=file)
        self.client.load_connection_file()
        self.client.start_channels()
        self._wait()
        os.unlink(file)

    def _wait(self):
        deadline = time.monotonic() + READY_S
        while True:
            try:
                return self.client.wait_for_ready(timeout=LOOK_S)
            except RuntimeError:
                self.assert_alive()
                if time.monotonic() > deadline:
                    raise

    def assert_alive(self):
        code = self.process.poll()
        if code is None:
            return
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - LOG_BYTES))
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        sys.exit(f"{self.log.read().decode(errors='replace')}\nThe kernel has ended, by {how}.")

    def interrupt(self):
        """A kernel that is not told by the signal is told by a message."""
        if self.spec.interrupt_mode == "message":
            self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))

    def run(self, code, silent=False):
        """Runs code, and says what comes of it, unless it is of ours."""
        message_id = self.client.execute(code, silent=silent, store_history=not silent, allow_stdin=False)
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=LOOK_S)
            except Empty:
                self.assert_alive()
                continue
            # Also of threads that outlive their cell: what they print is output, and their state is nothing.
            is_own = message["parent_header"].get("msg_id") == message_id
            kind, content = message["msg_type"], message["content"]
            if kind == "status":
                if is_own and put(kind, content):
                    return
            elif silent:
                continue
            elif kind == "execute_input":
                say({"type": "count", "executionCount": content["execution_count"]})
            else:
                put(kind, content)

    def change(self, variables):
        set_variable = VARIABLES.get(self.spec.language.lower())
        if variables and set_variable:
            self.run("\n".join(set_variable(name, value) for name, value in variables.items()), silent=True)


# A handler, and not to ignore it: that would be inherited.
signal.signal(signal.SIGINT, lambda _number, _frame: None)
kernel = Kernel(sys.argv[1])
signal.signal(signal.SIGINT, lambda _number, _frame: kernel.interrupt())
say({"type": "ready"})
while (cell := hear()) is not None:
    kernel.change(cell["env"])
    kernel.run(cell["code"])
    kernel.change(cell["envAfter"])
    say({"type": "done"})
