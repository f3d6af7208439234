import type { Duplex } from 'node:stream';

/** How long a client may need for what it still has to take, ms. */
export const LINGER_MS = 10_000;

/**
 * Ends a client's connection behind everything that was written to it. What the client still sends is read and dropped: the
 * kernel resets a connection that is closed with unread bytes, and the client may lose what it has not taken yet.
 */
export function endInOrder(client: Duplex): void {
  const timer = setTimeout(() => client.destroy(), LINGER_MS).unref();
  client.once('close', () => clearTimeout(timer));
  client.resume();
  client.end();
}
