import { MissingFileError } from '@islet/driver';

/** What a restore says of a file of a volume that it opens again by name; it does not say which. */
const MISSING = /no such file or directory|file does not exist/;

/** What a failed command of runsc means. @param reason what runsc logged last */
export function runscError(command: string, reason: string, cause: unknown): Error {
  const message = `runsc ${command} failed: ${reason}`;
  const isMissing = command === 'restore' && MISSING.test(reason);
  return isMissing ? new MissingFileError(message, { cause }) : new Error(message, { cause });
}
