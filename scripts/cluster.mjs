// Makes an empty cluster of PGlite in the folder that is named, the same bytes each time: with a clock that stands
// still and random numbers that anybody can tell beforehand. Nothing in an empty cluster is secret, and no network
// reaches it. A program of its own, since nothing else should live with such a clock.
import crypto from 'node:crypto';
import { PGlite } from '@electric-sql/pglite';

const NOW = Date.UTC(2026, 0, 1);

class StandingDate extends Date {
  constructor(...given) {
    super(...(given.length > 0 ? given : [NOW]));
  }
  static now() {
    return NOW;
  }
}
globalThis.Date = StandingDate;
performance.now = () => 0;
let last = 1;
crypto.randomFillSync = (array) => {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  for (const i of bytes.keys()) {
    last = (last * 48_271) % 0x7fffffff;
    bytes[i] = last;
  }
  return array;
};

const database = await PGlite.create(process.argv[2]);
await database.close();
