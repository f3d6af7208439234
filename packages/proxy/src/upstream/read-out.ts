/** What is read: a socket, or a stream of one. */
interface Reading {
  readonly destroyed: boolean;
  readonly bytesRead: number;
  isPaused(): boolean;
  once(event: 'resume', listener: () => void): unknown;
}

/** What is on its way within a machine comes within this, ms. */
const QUIET_MS = 10;

/**
 * Calls `then` when all that had arrived over a connection was read: when nothing has come for some moments. Not while its
 * reader pauses it, and never if it is closed before.
 */
export function onceReadOut(socket: Reading, then: () => void): void {
  const look = () => {
    if (socket.destroyed) return;
    if (socket.isPaused()) {
      socket.once('resume', look);
      return;
    }
    const before = socket.bytesRead;
    const lookAgain = () => {
      if (socket.bytesRead > before || socket.isPaused()) look();
      else if (!socket.destroyed) then();
    };
    // A thread that was busy all the time reads what has come only now.
    setTimeout(() => setImmediate(lookAgain), QUIET_MS);
  };
  look();
}
