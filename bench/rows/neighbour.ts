import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { ABUSES, serveFloods } from '../../e2e/hostile/abuses.ts';
import { type ControlPlane, newTeam } from '../../e2e/setup/control-plane.ts';
import { IdleGroup } from '../host/idle-group.ts';
import { type ThreadTime, threadTimes } from '../host/threads.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { letAbuserLoose } from '../neighbour/abusers.ts';
import { addSeen, Neighbour, nothingSeen, type Seen, WORK, type Work } from '../neighbour/neighbour.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import { percentile } from '../report/statistics.ts';
import type { Row, RowContext } from './row.ts';

/** For what an abuse costs to show, and for it to be gone again. */
const SETTLE_MS = 1_000;

const TARGETS: readonly Target[] = [{ kind: 'ratio-at-most', of: 'p99', value: 1.5 }];
const MEMORY_MB = 256 * 1.048576;

/** What the neighbour saw beside an abuse, and what Islet's threads got of the processors meanwhile. */
interface Beside {
  abuse: string;
  quiet: Seen;
  loud: Seen;
  /** Of the main thread, and of the other that ran most; ms a second. */
  main: ThreadTime;
  other: ThreadTime;
}

async function beside(
  abuse: string,
  attacker: { team: ControlPlane; sandboxId: string; group: IdleGroup },
  neighbour: Neighbour,
  context: RowContext,
): Promise<Beside> {
  const { access, now, size, signal } = context;
  const ms = size === 'full' ? 8_000 : 2_000;
  const quiet = await neighbour.work(ms, context);
  const { team, sandboxId, group } = attacker;
  const stop = await letAbuserLoose(group, { abuse, access, apiKey: team.key, sandboxId });
  try {
    await sleep(SETTLE_MS, undefined, { signal });
    const [before, beganAt] = [await threadTimes(access.pid), now()];
    const loud = await neighbour.work(ms, context);
    const spent = spentBetween(before, await threadTimes(access.pid), (now() - beganAt) / 1000);
    const main = spent.get(access.pid) ?? { ran: 0, waited: 0 };
    spent.delete(access.pid);
    const [other = { ran: 0, waited: 0 }] = [...spent.values()].sort((a, b) => b.ran - a.ran);
    return { abuse, quiet, loud, main, other };
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
async function withAttacker<T>(
  { access }: RowContext,
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

function ratio(loud: readonly number[], quiet: readonly number[]): string {
  return (percentile(loud, 0.99) / percentile(quiet, 0.99)).toFixed(2);
}

function told({ quiet, loud, main, other }: Beside): string {
  const one = (work: Work) =>
    `${work} ${ratio(loud.islet[work], quiet.islet[work])} × (bare ${ratio(loud.bare[work], quiet.bare[work])} ×)`;
  const thread = ({ ran, waited }: ThreadTime) => `ran ${ran.toFixed(0)} waited ${waited.toFixed(0)}`;
  return `${WORK.map(one).join(', ')}; ms/s: main ${thread(main)}, busiest other ${thread(other)}`;
}

/** All abuses are held against all that was seen in quiet: a few samples have no 99th percentile. */
function compared({ abuse, loud, main, other }: Beside, quiet: Seen): Measurement[] {
  const compare = (side: 'islet' | 'bare', targets: readonly Target[]) =>
    WORK.map((work) => ({
      row: 'neighbour',
      what: `${work}${side === 'bare' ? ' through a bare server' : ''} beside ${abuse}`,
      unit: 'ms' as const,
      samples: loud[side][work],
      baseline: { what: 'quiet', samples: quiet[side][work] },
      targets,
    }));
  const thread = (name: string, ms: number): Measurement => ({
    row: 'neighbour',
    what: `${name} a second beside ${abuse}`,
    unit: 'ms',
    samples: [ms],
    targets: [],
  });
  return [
    ...compare('islet', TARGETS),
    ...compare('bare', []),
    thread('main thread ran', main.ran),
    thread('main thread waited for a processor', main.waited),
    thread('busiest other thread ran', other.ran),
    thread('busiest other thread waited for a processor', other.waited),
  ];
}

export const neighbourRow: Row = {
  name: 'neighbour',
  description: `a team's create, command and HTTP while another does each of ${ABUSES.length} abuses, against quiet`,
  async measure(context) {
    const { access } = context;
    const seen: Beside[] = [];
    const quiet = nothingSeen();
    const failures: string[] = [];
    await using team = await newTeam(access, 'neighbour');
    await using group = await IdleGroup.open(`bench-${process.pid}`);
    await using neighbour = await Neighbour.open(access);
    await neighbour.work(0, context);
    for (const [index, { name }] of ABUSES.entries()) {
      context.signal.throwIfAborted();
      context.progress(index, ABUSES.length);
      const say = (text: string) => process.stderr.write(`neighbour: beside ${name}: ${text}\n`);
      try {
        const one = await withAttacker(context, team, (sandboxId) =>
          beside(name, { team, sandboxId, group }, neighbour, context),
        );
        seen.push(one);
        addSeen(quiet, one.quiet);
        say(told(one));
      } catch (error) {
        context.signal.throwIfAborted();
        // A neighbour that gets an error is hindered as well; the other abuses are measured all the same.
        failures.push(name);
        say(String(error));
      }
    }
    return [
      ...seen.flatMap((one) => compared(one, quiet)),
      {
        row: 'neighbour',
        what: 'abuses beside which the neighbour failed',
        unit: 'things',
        samples: [failures.length],
        targets: [{ kind: 'at-most', of: 'p50', value: 0 }],
      },
      {
        row: 'neighbour',
        what: "Islet's memory over quiet, the worst of all",
        unit: 'MB',
        samples: seen.map(({ loud, quiet }) => Math.max(...loud.memory) - Math.max(...quiet.memory)),
        targets: [{ kind: 'at-most', of: 'p99', value: MEMORY_MB }],
      },
    ];
  },
};
