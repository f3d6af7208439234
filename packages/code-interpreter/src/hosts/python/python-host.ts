import { join } from 'node:path';
import type { MakeHost } from '../host.ts';
import { ProcessHost } from '../process/process-host.ts';

/** IPython is imported from a disk that may be cold. */
const START_MS = 60_000;

/**
 * IPython's InteractiveShell in a process.
 * @param python the interpreter, with IPython installed for it
 * @param directory where `main.py` is: `host/` beside this file, or `python/` beside the bundle
 */
export function pythonHost(python: string, directory: string): MakeHost {
  return () => new ProcessHost({ command: python, args: [join(directory, 'main.py')], startMs: START_MS });
}
