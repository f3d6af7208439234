import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { serveFloods } from '../../e2e/hostile/abuses.ts';
import type { ControlPlane } from '../../e2e/setup/control-plane.ts';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import type { IdleGroup } from '../host/idle-group.ts';
import { type ThreadTime, threadTimes } from '../host/threads.ts';
import { sdkOptions } from '../islet/sdk.ts';
import type { RoundsOptions } from '../pace/rounds.ts';
import { letAbuserLoose } from './abusers.ts';
import type { Neighbour, Seen } from './neighbour.ts';

/** For what an abuse costs to show, and for it to be gone again. */
const SETTLE_MS = 1_000;

/** What the neighbour saw beside an abuse, and what Islet's threads got of the processors meanwhile. */
export interface Beside {
  abuse: string;
  loud: Seen;
  /** Of the main thread, and of the other that ran most; ms a second. */
  main: ThreadTime;
  other: ThreadTime;
}

export interface Attacker {
  access: InstanceAccess;
  team: ControlPlane;
  /** Of its own, which serves floods. */
  sandboxId: string;
  /** Its clients run there. */
  group: IdleGroup;
}

/** Has the neighbour work beside an abuse for `ms`, and ends it. */
export async function beside(
  abuse: string,
  { access, team, sandboxId, group }: Attacker,
  neighbour: Neighbour,
  context: RoundsOptions & { ms: number },
): Promise<Beside> {
  const { now, signal, ms } = context;
  const stop = await letAbuserLoose(group, { abuse, access, apiKey: team.key, sandboxId });
  try {
    await sleep(SETTLE_MS, undefined, { signal });
    const [before, beganAt] = [await threadTimes(access.pid), now()];
    const loud = await neighbour.work(ms, context);
    const spent = spentBetween(before, await threadTimes(access.pid), (now() - beganAt) / 1000);
    const main = spent.get(access.pid) ?? { ran: 0, waited: 0 };
    spent.delete(access.pid);
    const [other = { ran: 0, waited: 0 }] = [...spent.values()].sort((a, b) => b.ran - a.ran);
    return { abuse, loud, main, other };
  } finally {
    await stop();
    await sleep(SETTLE_MS);
  }
}

function spentBetween(
  before: ReadonlyMap<number, ThreadTime>,
  after: ReadonlyMap<number, ThreadTime>,
  seconds: number,
): Map<number, ThreadTime> {
  const spent = new Map<number, ThreadTime>();
  for (const [thread, { ran, waited }] of after) {
    const then = before.get(thread) ?? { ran: 0, waited: 0 };
    spent.set(thread, { ran: (ran - then.ran) / seconds, waited: (waited - then.waited) / seconds });
  }
  return spent;
}

/** An attacker with a sandbox of its own, which is new for each abuse: the last one may have worn it out. */
export async function withAttacker<T>(
  access: InstanceAccess,
  team: ControlPlane,
  use: (sandboxId: string) => Promise<T>,
): Promise<T> {
  const sandbox = await Sandbox.create({ ...sdkOptions(access), apiKey: team.key });
  try {
    await serveFloods(sandbox);
    return await use(sandbox.sandboxId);
  } finally {
    await team.kill(sandbox.sandboxId);
  }
}
