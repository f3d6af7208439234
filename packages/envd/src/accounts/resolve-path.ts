import { posix } from 'node:path';
import type { Account } from './account.ts';

/** A path that no rule can make absolute. */
export class PathError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PathError';
  }
}

/**
 * Makes a client's path absolute: empty means the default working directory, `~` the user's home; absolute
 * ones stay as they are, without normalisation; relative ones start at the home.
 * @throws PathError
 */
export function resolvePath(path: string, account: Account, defaultWorkdir?: string): string {
  if (path.includes('\0')) throw new PathError('path must not contain a NUL character');
  const given = path === '' ? (defaultWorkdir ?? '') : path;
  if (given.startsWith('~')) {
    if (given !== '~' && !given.startsWith('~/')) throw new PathError('cannot expand user-specific home dir');
    return posix.join(account.home, given.slice(1));
  }
  if (given.startsWith('/')) return given;
  return stripTrailingSlash(posix.join(account.home, given));
}

function stripTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
