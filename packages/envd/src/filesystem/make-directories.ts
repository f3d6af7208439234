import { chownSync, mkdirSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import type { Account } from '../accounts/account.ts';

const DIRECTORY_MODE = 0o755;

/**
 * Creates a directory and the missing ones above it, owned by the user. Does nothing for what exists.
 * @throws NodeJS.ErrnoException, ENOTDIR if a file is in the way.
 */
export function makeDirectories(path: string, account: Account): void {
  for (const missing of missingDirectories(path)) {
    try {
      mkdirSync(missing, { mode: DIRECTORY_MODE });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST' && statSync(missing).isDirectory()) continue;
      throw error;
    }
    chownSync(missing, account.uid, account.gid);
  }
}

/** From the highest to the lowest. */
function missingDirectories(path: string): string[] {
  const missing: string[] = [];
  for (let at = path; ; at = posix.dirname(at)) {
    const stat = statSync(at, { throwIfNoEntry: false });
    if (stat?.isDirectory()) return missing.reverse();
    if (stat) throw Object.assign(new Error(`ENOTDIR: not a directory: ${at}`), { code: 'ENOTDIR' });
    missing.push(at);
  }
}
