import { createHmac } from 'node:crypto';
import { secretsEqual } from '@islet/contracts';
import type { UploadGrant } from './artifacts.ts';

/** The route on which an API takes archives for a store that cannot take them itself. */
export const UPLOAD_ROUTE = '/templates/uploads/:teamID/:hash';

/** A signed address as it comes back with the upload; every part of it is hostile. */
export interface UploadClaim {
  teamId: string;
  hash: string;
  maxBytes: number;
  expiresAtMs: number;
  signature: string;
}

/** Signs upload addresses, and tells whether one was signed here. */
export class UploadSignatures {
  readonly #secret: string;

  /** @param secret has to survive restarts, or addresses given out before one are refused after it. */
  constructor(secret: string) {
    this.#secret = secret;
  }

  /** Path and query that stand for a grant. */
  address(grant: UploadGrant): string {
    const { teamId, hash, maxBytes, expiresAtMs } = grant;
    const query = new URLSearchParams({
      maxBytes: String(maxBytes),
      expiresAtMs: String(expiresAtMs),
      signature: this.#sign(grant),
    });
    const path = UPLOAD_ROUTE.replace(':teamID', teamId).replace(':hash', hash);
    return `${path}?${query}`;
  }

  /** Whether the claim was signed here; says nothing about its expiry. */
  matches(claim: UploadClaim): boolean {
    return secretsEqual(claim.signature, this.#sign(claim));
  }

  #sign({ teamId, hash, maxBytes, expiresAtMs }: UploadGrant): string {
    const text = ['islet-upload', teamId, hash, maxBytes, expiresAtMs].join('\n');
    return createHmac('sha256', this.#secret).update(text).digest('hex');
  }
}
