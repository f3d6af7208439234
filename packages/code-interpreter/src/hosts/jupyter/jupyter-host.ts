import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { MakeHost } from '../host.ts';
import { ProcessHost } from '../process/process-host.ts';

const START_MS = 60_000;

/** As Jupyter has them, without the upper-case letters that names of languages lose. */
const NAME = /^[a-z0-9._-]{1,100}$/;

/**
 * A kernel of Jupyter behind a program that speaks its protocol; that needs Python's `jupyter_client`.
 * @param python the interpreter that has it
 * @param directory where `main.py` is
 * @param kernel the name of its spec
 */
export function jupyterHost(python: string, directory: string, kernel: string): MakeHost {
  const args = [join(directory, 'main.py'), kernel];
  return () => new ProcessHost({ command: python, args, startMs: START_MS });
}

/**
 * Whether a kernel of the name is installed.
 * @param folders where Jupyter looks for specs, such as `/usr/share/jupyter/kernels`
 */
export async function hasKernel(name: string, folders: readonly string[]): Promise<boolean> {
  if (!NAME.test(name) || name.startsWith('.')) return false;
  const found = folders.map((folder) => access(join(folder, name, 'kernel.json')));
  return Promise.any(found).then(
    () => true,
    () => false,
  );
}

/** Where Jupyter looks for specs of kernels. @param home of the user that code runs as */
export function kernelFolders(home: string, jupyterPath: string | undefined): string[] {
  const roots = [
    ...(jupyterPath?.split(':') ?? []),
    join(home, '.local/share/jupyter'),
    '/usr/local/share/jupyter',
    '/usr/share/jupyter',
  ];
  return roots.filter((root) => root !== '').map((root) => join(root, 'kernels'));
}
