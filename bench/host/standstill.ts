import { connect } from 'node:net';
import { timed } from '../pace/timed.ts';

/** Nobody listens there. */
const PORT = 1;

/**
 * The longest time in which a sandbox's kernel refused no connection while `action` ran, ms: how long it stood still, and
 * the time of one answer. A guest itself cannot tell, since its clock stands still with it.
 */
export async function standstillDuring(address: string, action: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let over = false;
  const watching = (async () => {
    while (!over) longest = Math.max(longest, await timed(() => refusedBy(address)));
  })();
  await refusedBy(address);
  try {
    await action();
  } finally {
    over = true;
    await watching;
  }
  return longest;
}

function refusedBy(address: string): Promise<void> {
  return new Promise((resolve) => connect({ host: address, port: PORT }).once('error', () => resolve()));
}
