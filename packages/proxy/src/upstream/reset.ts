import type { Socket } from 'node:net';

/**
 * Resets a connection at once. What Node.js offers for that, `resetAndDestroy`, first waits until everything is written, which a
 * sandbox that has ended, or does not read, never lets happen.
 */
export function resetAtOnce(socket: Socket & { resetAndClosing?: boolean }): void {
  // One whose end is still behind unwritten bytes cannot be reset: it is closed.
  const isEnding = socket.writableEnded && !socket.writableFinished;
  socket.resetAndClosing = !isEnding;
  socket.destroy();
}
