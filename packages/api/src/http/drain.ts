import type { IncomingMessage } from 'node:http';
import { MIB } from './caps.ts';

/** Most of a refused body that is read, in bytes: far beyond what a client sends that does not mean harm. */
const MOST_BYTES = 32 * MIB;
const MOST_MS = 10_000;

/**
 * Reads what is left of a request's body and drops it. A connection closed under a client that still sends is reset, and
 * the client never sees the answer. Bounded: who sends more, or more slowly, gets the reset.
 */
export function drain(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const timer = setTimeout(done, MOST_MS);
    function count(chunk: Buffer): void {
      bytes += chunk.length;
      if (bytes > MOST_BYTES) done();
    }
    function done(): void {
      clearTimeout(timer);
      request.off('data', count).off('end', done).off('close', done).off('error', done);
      request.pause();
      resolve();
    }
    if (
      request.readableEnded ||
      request.destroyed ||
      Number(request.headers['content-length']) > MOST_BYTES
    ) {
      return done();
    }
    request.on('data', count).on('end', done).on('close', done).on('error', done).resume();
  });
}
