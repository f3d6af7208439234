import { randomUUID } from 'node:crypto';

/** The numbers of one millisecond. */
const A_MILLISECOND = 0x1000;

/**
 * Makes UUIDs of version 7 whose order is that in which they were made, also within a millisecond and if the clock steps
 * back. @param now Unix ms
 */
export function orderedIds(now: () => number): () => string {
  let last = 0;
  return () => {
    last = Math.max(last + 1, Math.trunc(now()) * A_MILLISECOND);
    const time = Math.floor(last / A_MILLISECOND)
      .toString(16)
      .padStart(12, '0');
    const number = (last % A_MILLISECOND).toString(16).padStart(3, '0');
    // The rest of a random one: a variant and 62 random bits.
    return `${time.slice(0, 8)}-${time.slice(8)}-7${number}-${randomUUID().slice(19)}`;
  };
}
