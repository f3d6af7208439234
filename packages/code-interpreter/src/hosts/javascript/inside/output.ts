import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { writeAll } from './channel.ts';

/**
 * Has what cells print leave at once: Node's own streams keep what a full pipe does not take, without a bound, and the end of
 * a cell would overtake it.
 */
export function printAtOnce(): void {
  const [stdout, stderr] = [1, 2].map(
    (fd) =>
      new Writable({
        decodeStrings: true,
        write(chunk: Buffer, _encoding, done) {
          writeAll(fd, chunk);
          done();
        },
      }),
  ) as [Writable, Writable];
  for (const [name, value] of Object.entries({ stdout, stderr })) {
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => value });
  }
  Object.assign(globalThis.console, new Console({ stdout, stderr, colorMode: false }));
}
