import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Resets a connection at once. What Node.js offers for that, `resetAndDestroy`, first waits until everything is written, which a
 * sandbox that has ended, or does not read, never lets happen. One with TLS, to a node, cannot be reset: it is closed.
 */
export function resetAtOnce(socket: Socket & { resetAndClosing?: boolean }): void {
  // One whose end is still behind unwritten bytes cannot be reset: it is closed.
  const isEnding = socket.writableEnded && !socket.writableFinished;
  socket.resetAndClosing = !isEnding && !(socket instanceof TLSSocket);
  socket.destroy();
}
