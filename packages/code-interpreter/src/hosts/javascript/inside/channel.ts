import { writeSync } from 'node:fs';
import { frameOf } from '../../process/frames.ts';

const CHANNEL = 3;
const PAUSE_MS = 1;

/** Says something to the server. Returns when it is on its way: what this process does next comes after it. */
export function say(message: unknown): void {
  writeAll(CHANNEL, frameOf(message));
}

/** Writes all of it, and waits while nobody reads. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, PAUSE_MS);
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));
