import type { PublishedAuthority } from './authority.ts';

/** A list of authorities that programs trust. */
export interface TrustStore {
  kind: 'system' | 'browser';
  /** Where it is. */
  path: string;
  /** Has it trust the authority, in place of an older one of the same installation. */
  add(authority: PublishedAuthority): Promise<void>;
  /** False if it trusted none of the installation. */
  remove(instance: string): Promise<boolean>;
}

/** A list cannot be changed; the message says what to do. */
export class TrustError extends Error {
  override readonly name = 'TrustError';
}
