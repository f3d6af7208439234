import { posix } from 'node:path';

/** How a command's program is looked for. */
export type Lookup =
  | { found: string }
  /** Nothing to execute: what a shell's `exec` would say and exit with. */
  | { exitCode: 126 | 127; reason: 'not found' | 'Permission denied' };

/** What there is at a path: `program` may be executed by somebody. */
export type PathKind = 'program' | 'other' | 'missing';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Finds the program of a command the way a shell does: by PATH if the name has no slash. */
export function findExecutable(
  command: string,
  options: { cwd: string; path: string | undefined; inspect: (path: string) => PathKind },
): Lookup {
  if (command === '') return { exitCode: 127, reason: 'not found' };
  if (command.includes('/')) return { found: posix.resolve(options.cwd, command) };
  let denied = false;
  for (const directory of (options.path ?? DEFAULT_PATH).split(':')) {
    const candidate = posix.resolve(options.cwd, directory, command);
    const kind = options.inspect(candidate);
    if (kind === 'program') return { found: candidate };
    if (kind === 'other') denied = true;
  }
  return denied ? { exitCode: 126, reason: 'Permission denied' } : { exitCode: 127, reason: 'not found' };
}

/** What a shell says of a program that the kernel would not execute, and the exit code it ends with. */
export function execFailure(errnoCode: string): { exitCode: 126 | 127; reason: string } | undefined {
  switch (errnoCode) {
    case 'ENOENT':
    case 'ENOTDIR':
      return { exitCode: 127, reason: 'not found' };
    case 'ENAMETOOLONG':
      return { exitCode: 127, reason: 'File name too long' };
    case 'ELOOP':
      return { exitCode: 126, reason: 'Too many levels of symbolic links' };
    case 'EACCES':
    case 'EPERM':
      return { exitCode: 126, reason: 'Permission denied' };
    case 'ENOEXEC':
      return { exitCode: 126, reason: 'Exec format error' };
    case 'E2BIG':
      return { exitCode: 126, reason: 'Argument list too long' };
    case 'ETXTBSY':
      return { exitCode: 126, reason: 'Text file busy' };
    case 'EISDIR':
      return { exitCode: 126, reason: 'Is a directory' };
    default:
      return undefined;
  }
}
