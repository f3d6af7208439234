import type { Socket } from 'node:net';

/** For the first byte if the connection may go without a name, and for all of a head, ms. */
export const SILENCE_MS = 1_000;
export const HEAD_MS = 10_000;

export interface FirstRead {
  client: Socket;
  /** Takes a piece; true when it knows enough. */
  take: (piece: Buffer) => boolean;
  /** Whether silence is an answer: servers may speak first where no name is needed. */
  maySkip: boolean;
  signal: AbortSignal;
}

/** Reads a connection's begin until enough is known, its end, or its time is over. The client is paused then. */
export function firstRead({ client, take, maySkip, signal }: FirstRead): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      client.off('data', onData).off('end', finish).off('close', finish);
      signal.removeEventListener('abort', finish);
      client.pause();
      resolve();
    };
    let timer = setTimeout(finish, maySkip ? SILENCE_MS : HEAD_MS);
    const onData = (piece: Buffer) => {
      if (take(piece)) return finish();
      if (!maySkip) return;
      maySkip = false;
      clearTimeout(timer);
      timer = setTimeout(finish, HEAD_MS);
    };
    client.on('data', onData).once('end', finish).once('close', finish);
    signal.addEventListener('abort', finish, { once: true });
    if (client.destroyed) finish();
    else client.resume();
  });
}
