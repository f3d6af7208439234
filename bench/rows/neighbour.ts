import { ABUSES } from '../../e2e/hostile/abuses.ts';
import { newTeam } from '../../e2e/setup/control-plane.ts';
import { IdleGroup } from '../host/idle-group.ts';
import type { ThreadTime } from '../host/threads.ts';
import { type Beside, beside, withAttacker } from '../neighbour/beside.ts';
import { addSeen, Neighbour, nothingSeen, type Seen, WORK, type Work } from '../neighbour/neighbour.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import { percentile } from '../report/statistics.ts';
import type { Row } from './row.ts';

const TARGETS: readonly Target[] = [{ kind: 'ratio-at-most', of: 'p99', value: 1.5 }];
const MEMORY_MB = 256 * 1.048576;

interface Compared extends Beside {
  quiet: Seen;
}

function ratio(loud: readonly number[], quiet: readonly number[]): string {
  return (percentile(loud, 0.99) / percentile(quiet, 0.99)).toFixed(2);
}

function told({ quiet, loud, main, other }: Compared): string {
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
    const seen: Compared[] = [];
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
        const ms = context.size === 'full' ? 8_000 : 2_000;
        const one = await withAttacker(access, team, async (sandboxId) => {
          const quiet = await neighbour.work(ms, context);
          const attacker = { access, team, sandboxId, group };
          return { quiet, ...(await beside(name, attacker, neighbour, { ...context, ms })) };
        });
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
