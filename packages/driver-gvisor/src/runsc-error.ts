import { MissingFileError } from '@islet/driver';

/** What a restore says of a file of a volume that it opens again by name; it does not say which. */
const MISSING = /no such file or directory|file does not exist/;

/** What a checkpoint says of an object of the sandbox that it cannot write down. */
const UNWRITABLE = /encoding error/;

/** gVisor had begun to write a sandbox down and could not: that ends in a moment, if it was not to go on anyhow. */
export class BrokenSaveError extends Error {
  override readonly name = 'BrokenSaveError';
}

/** What a failed command of runsc means. @param reason what runsc logged last */
export function runscError(command: string, reason: string, cause: unknown): Error {
  const message = `runsc ${command} failed: ${reason}`;
  if (command === 'restore' && MISSING.test(reason)) return new MissingFileError(message, { cause });
  if (command === 'checkpoint' && UNWRITABLE.test(reason)) return new BrokenSaveError(message, { cause });
  return new Error(message, { cause });
}
