import { timingSafeEqual } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FindSigner, SignedFile } from '@islet/catalog';
import { signFile } from '@islet/contracts';
import type { KnownSandboxes } from './known-sandboxes.ts';

/** Tokens tried in one go: some tenth of a millisecond. */
const AT_ONCE = 32;

/** Between two goes, ms. Whoever sends signatures that no sandbox made takes a tenth of this thread at the most. */
const PAUSE_MS = 1;

/**
 * Tries the tokens of all sandboxes that have one, the newest first: nothing in a signature tells whose it is. One search at a
 * time.
 */
export function createFindSigner(known: KnownSandboxes): FindSigner {
  let tail: Promise<unknown> = Promise.resolve();
  return (file) => {
    const search = tail.then(() => findSigner(known.tokens().reverse(), file));
    tail = search.catch(() => undefined);
    return search;
  };
}

async function findSigner(
  tokens: readonly [sandboxId: string, token: string][],
  file: SignedFile,
): Promise<string | undefined> {
  const given = Buffer.from(file.signature);
  for (let at = 0; at < tokens.length; at += AT_ONCE) {
    if (at > 0) await sleep(PAUSE_MS);
    for (const [sandboxId, token] of tokens.slice(at, at + AT_ONCE)) {
      if (isSignedBy(token, file, given)) return sandboxId;
    }
  }
  return undefined;
}

function isSignedBy(envdAccessToken: string, file: SignedFile, given: Buffer): boolean {
  const { path, username, expiration, operations } = file;
  return operations.some((operation) => {
    const fields = { path, username, operation, envdAccessToken };
    const expected = Buffer.from(signFile(expiration === undefined ? fields : { ...fields, expiration }));
    return expected.length === given.length && timingSafeEqual(expected, given);
  });
}
