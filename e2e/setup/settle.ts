import { expect } from 'vitest';
import { addedTo, countsOf, type Footprint, type FootprintOf, footprint } from './footprint.ts';
import { until } from './until.ts';

const SETTLED_AFTER_MS = 1_000;
const DEADLINE_MS = 60_000;

/** The footprint once it has kept its size for a second: what an Islet does in the background is done. */
export async function settledFootprint(of: FootprintOf): Promise<Footprint> {
  let last = '';
  let since = Date.now();
  return until(
    'the footprint settles',
    DEADLINE_MS,
    () => footprint(of),
    (print) => {
      const now = JSON.stringify(countsOf(print));
      if (now !== last) since = Date.now();
      last = now;
      return Date.now() - since >= SETTLED_AFTER_MS;
    },
  );
}

/** Waits for the footprint to be of the size that it was before; shows what was added if it does not become so. */
export async function expectSettlesTo(before: Footprint, of: FootprintOf): Promise<void> {
  const wanted = countsOf(before);
  const deadline = Date.now() + DEADLINE_MS;
  let after = await footprint(of);
  while (JSON.stringify(countsOf(after)) !== JSON.stringify(wanted) && Date.now() < deadline) {
    after = await settledFootprint(of);
  }
  expect(countsOf(after), JSON.stringify(addedTo(before, after), undefined, 2)).toEqual(wanted);
}
