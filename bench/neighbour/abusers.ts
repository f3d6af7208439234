import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import type { IdleGroup } from '../host/idle-group.ts';

const PROGRAM = join(import.meta.dirname, 'abuser.ts');
const BEGIN_MS = 60_000;
/** An abuse waits for its last piece of work, and then takes away what it made. */
const STOP_MS = 30_000;

/** What an abuser is told. */
export interface AbuserOrder {
  /** Its name among `ABUSES`. */
  abuse: string;
  access: InstanceAccess;
  /** Of the team that means ill. */
  apiKey: string;
  /** A sandbox of that team's, which serves floods. */
  sandboxId: string;
}

/**
 * Lets an abuser loose with its clients, on what the rest of the machine leaves of the processors; its sandboxes run as
 * all do. Resolves when the abuse is under way, with its end.
 */
export async function letAbuserLoose(group: IdleGroup, order: AbuserOrder): Promise<() => Promise<void>> {
  // It begins as others do: how long that takes is not what is measured.
  await group.setIdle(false);
  const child = group.start(PROGRAM, [JSON.stringify(order)]);
  const ended = once(child, 'exit');
  const begun = child.stdout && once(child.stdout, 'data');
  const outcome = await Promise.race([
    begun?.then(() => 'begun'),
    ended.then(([code]) => `ended with ${code}`),
    sleep(BEGIN_MS, 'has not begun', { ref: false }),
  ]);
  if (outcome !== 'begun') {
    await group.clear();
    throw new Error(`the abuser ${outcome}`);
  }
  await group.setIdle(true);
  return async () => {
    await group.setIdle(false);
    child.stdin?.end();
    await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })]);
    await group.clear();
  };
}
