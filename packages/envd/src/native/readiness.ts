import koffi from 'koffi';

/** Tells when a descriptor can be read or written without waiting. */
export interface Readiness {
  /** Waits for what is asked for; with neither, for nothing. */
  want(interest: { read: boolean; write: boolean }): void;
  close(): void;
}

/**
 * Calls `onReady` in the event loop whenever the descriptor is ready for what was asked for, or has failed: the
 * caller just tries and learns which. Makes the descriptor non-blocking. One watcher a descriptor.
 */
export function watchReadiness(fd: number, onReady: () => void): Readiness {
  // The native callback runs outside of Node's callback scope, where promises would not be resumed after it:
  // an immediate, run in the same loop turn, brings it back in.
  let scheduled = false;
  let closed = false;
  const callback = () => {
    if (scheduled || closed) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (!closed) onReady();
    });
  };
  const handle = koffi.node.poll(fd, { readable: true }, callback);
  handle.stop();
  return {
    want({ read, write }) {
      if (closed) return;
      if (read || write) handle.start({ readable: read, writable: write }, callback);
      else handle.stop();
    },
    close() {
      if (closed) return;
      closed = true;
      handle.close();
    },
  };
}
