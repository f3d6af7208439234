import type { FileOperation } from '@islet/contracts';

/** A signed address of a file that names no sandbox. */
export interface SignedFile {
  /** As the query says, '' if absent; so is `username`. */
  path: string;
  username: string;
  signature: string;
  /** Unix seconds. */
  expiration: number | undefined;
  /** What it may have been signed for. */
  operations: readonly FileOperation[];
}

/**
 * Finds the sandbox whose access token signed an address. Only who knows the tokens can: routes keep none.
 * @returns undefined if no sandbox did
 * @throws IsletError 429 if too many wait already
 */
export type FindSigner = (file: SignedFile) => Promise<string | undefined>;
