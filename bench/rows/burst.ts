import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { allowMany } from '../islet/limits.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds, type Pace } from '../pace/rounds.ts';
import { inTurn, settleAll } from '../pace/together.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import { percentile } from '../report/statistics.ts';
import type { Row, RowContext } from './row.ts';

interface Burst {
  count: number;
  pace: Pace;
}

const BURSTS: Readonly<Record<RowContext['size'], readonly Burst[]>> = {
  quick: [
    { count: 1, pace: { rounds: 2, budgetMs: 10_000 } },
    { count: 6, pace: { rounds: 1, budgetMs: 0 } },
  ],
  full: [
    { count: 1, pace: { rounds: 20, budgetMs: 90_000 } },
    { count: 20, pace: { rounds: 4, budgetMs: 180_000 } },
    { count: 100, pace: { rounds: 2, budgetMs: 300_000 } },
  ],
};

/** Time in which the pool gets ready again what one sandbox alone finds, and the machine comes to rest. */
const REST_MS = 5_000;
/** Ends at once of those that a burst made: hundreds would be a measurement of their own. */
const ENDS_AT_ONCE = 10;
/** The last of a burst waits long for its turn. */
const LAST_MS = 10 * 60_000;
const PROGRAM = 'node -v';
const TARGETS: readonly Target[] = [{ kind: 'ratio-at-most', value: 1.25 }];

/** Milliseconds from the beginning of a round until each sandbox of it had answered. */
type Round = number[];

/** Creates so many at once and runs the program in each as soon as it is there. */
async function burstOfIslet({ access }: RowContext, count: number): Promise<Round> {
  const options = { ...sdkOptions(access), requestTimeoutMs: LAST_MS };
  const made: Sandbox[] = [];
  const begin = performance.now();
  const live = async () => {
    const sandbox = await Sandbox.create(options);
    made.push(sandbox);
    await sandbox.commands.run(PROGRAM, { timeoutMs: LAST_MS, requestTimeoutMs: LAST_MS });
    return performance.now() - begin;
  };
  try {
    return await settleAll(Array.from({ length: count }, live));
  } finally {
    await inTurn(made, ENDS_AT_ONCE, (sandbox) => sandbox.kill());
  }
}

/** The same with the runtime alone, as many at a time as it has processors, which is how they are all done first. */
async function burstOfBare(context: RowContext, count: number): Promise<Round> {
  const bare = await context.bare();
  const prepared = [];
  try {
    while (prepared.length < count) prepared.push(await bare.prepare(context.signal));
    await sleep(REST_MS, undefined, { signal: context.signal });
    const begin = performance.now();
    return await inTurn(prepared, availableParallelism(), async (sandbox) => {
      await sandbox.restore();
      await sandbox.exec(['/bin/bash', '-l', '-c', PROGRAM]);
      return performance.now() - begin;
    });
  } finally {
    await inTurn(prepared, ENDS_AT_ONCE, (sandbox) => sandbox.remove());
  }
}

function lines(count: number, islet: readonly Round[], bare: readonly Round[]): Measurement[] {
  const line = (what: string, of: (round: Round) => Round): Measurement => ({
    row: 'burst',
    what: `${count} at once, create → ${PROGRAM}${what}`,
    unit: 'ms',
    samples: islet.flatMap(of),
    baseline: { what: 'runsc restore, exec', samples: bare.flatMap(of) },
    targets: count === 100 ? TARGETS : [],
  });
  return [
    line('', (round) => round),
    ...(count === 1
      ? []
      : [
          line(', p95', (round) => [percentile(round, 0.95)]),
          line(', the last', (round) => [Math.max(...round)]),
        ]),
  ];
}

export const burstRow: Row = {
  name: 'burst',
  description: `1, 20 and 100 creates at once and \`${PROGRAM}\` in each, against as many bare restores`,
  async measure(context) {
    await allowMany(context.access);
    // What each reads from the disk for the first time is not counted.
    await burstOfIslet(context, 1);
    await burstOfBare(context, 1);
    const measurements: Measurement[] = [];
    for (const { count, pace } of BURSTS[context.size]) {
      const islet: Round[] = [];
      const bare: Round[] = [];
      await inRounds(pace, context, async () => {
        await sleep(REST_MS, undefined, { signal: context.signal });
        islet.push(await burstOfIslet(context, count));
        bare.push(await burstOfBare(context, count));
      });
      measurements.push(...lines(count, islet, bare));
    }
    return measurements;
  },
};
