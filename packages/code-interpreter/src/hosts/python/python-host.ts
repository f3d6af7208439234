import { join } from 'node:path';
import type { MakeHost } from '../host.ts';
import { ProcessHost } from '../process/process-host.ts';

/** IPython is imported from a disk that may be cold. */
const START_MS = 60_000;

/**
 * IPython's InteractiveShell in a process.
 * @param python the interpreter, with IPython installed for it
 * @param warm a file that the first host runs before its first cell, so that a snapshot holds what it imports; the others
 *   start sooner without
 * @param directory where `main.py` is: `host/` beside this file, or `python/` beside the bundle
 */
export function pythonHost(python: string, directory: string, warm?: string): MakeHost {
  let files = warm === undefined ? [] : [warm];
  return () => {
    const args = [join(directory, 'main.py'), ...files];
    files = [];
    return new ProcessHost({ command: python, args, startMs: START_MS });
  };
}
