import type { Socket } from 'node:net';
import type { Share } from '@islet/proxy';

export interface Pump {
  /** Goes on after `take` has said that it is full. */
  ready(): void;
  /** Takes no more before the other side has taken what it has, or `ready`. */
  hold(): void;
}

/**
 * Moves what comes from one socket to another, and its end, no faster than the other takes it. What that costs is paid
 * by the sandbox's share of the thread: whoever has used its turn up waits for the others.
 * @param take what is done with each piece in place of passing it on as it is; false if the other side is full
 */
export function pump(from: Socket, to: Socket, share: Share, take?: (piece: Buffer) => boolean): Pump {
  let isFull = false;
  let waits = false;
  const goOn = () => {
    if (!isFull && !waits && !from.destroyed) from.resume();
  };
  from.on('data', (piece: Buffer) => {
    share.run(() => {
      if (!(take ? take(piece) : to.write(piece))) isFull = true;
    });
    if (share.isOver && !waits) {
      waits = true;
      share.enter(() => {
        waits = false;
        goOn();
      });
    }
    if (isFull || waits) from.pause();
  });
  const ready = () => {
    isFull = false;
    goOn();
  };
  to.on('drain', ready);
  // It may have ended while its begin was read.
  if (from.readableEnded) to.end();
  else from.once('end', () => to.end());
  from.resume();
  const hold = () => {
    isFull = true;
    from.pause();
  };
  return { ready, hold };
}
