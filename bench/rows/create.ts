import { setTimeout as sleep } from 'node:timers/promises';
import { createSandbox, deleteSnapshot, killSandbox, snapshotSandbox } from '../islet/api.ts';
import { inRounds, type Pace } from '../pace/rounds.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

/** Time for what a create or kill leaves to be done after its answer, so that it does not count as the next one's. */
const SETTLE_MS = 100;

const AT_ONCE = 10;

/** Time for Islet to make the sandboxes ready that were taken. */
const REFILL_MS = 1_500;

/** Against a start of the same; with sandboxes kept ready, and without. */
const WARM_TARGETS: readonly Target[] = [
  { kind: 'ratio-at-most', value: 0.15 },
  { kind: 'at-most', of: 'p50', value: 10 },
  { kind: 'at-most', of: 'p99', value: 30 },
];
const COLD_TARGETS: readonly Target[] = [{ kind: 'ratio-at-most', value: 1.25 }];

interface Lives {
  create: number[];
  kill: number[];
  bareRestore: number[];
  bareKill: number[];
}

/** Lives of `atOnce` sandboxes through the API and of as many of the bare runtime, by turns. */
async function measureLives(
  context: RowContext,
  atOnce: number,
  refillMs: number,
  pace: Pace,
): Promise<Lives> {
  const { access } = context.islet;
  const lives: Lives = { create: [], kill: [], bareRestore: [], bareKill: [] };
  const bare = await context.bare();
  await killSandbox(access, (await createSandbox(access)).id);
  await inRounds(pace, context, async () => {
    const bares = await Promise.all(Array.from({ length: atOnce }, () => bare.prepare(context.signal)));
    await sleep(refillMs);
    const created = await Promise.all(Array.from({ length: atOnce }, () => createSandbox(access)));
    lives.create.push(...created.map(({ ms }) => ms));
    await sleep(SETTLE_MS);
    lives.kill.push(...(await Promise.all(created.map(({ id }) => killSandbox(access, id)))));
    await sleep(SETTLE_MS * 2);
    lives.bareRestore.push(...(await Promise.all(bares.map((sandbox) => sandbox.restore()))));
    await sleep(SETTLE_MS);
    lives.bareKill.push(...(await Promise.all(bares.map((sandbox) => sandbox.kill()))));
    await Promise.all(bares.map((sandbox) => sandbox.remove()));
  });
  return lives;
}

/** The first sandbox of a snapshot each time, for which no machine can be ready; the bare runtime by turns. */
async function measureFirsts(
  context: RowContext,
  pace: Pace,
): Promise<Pick<Lives, 'create' | 'bareRestore'>> {
  const { access } = context.islet;
  const firsts: { create: number[]; bareRestore: number[] } = { create: [], bareRestore: [] };
  const bare = await context.bare();
  const original = await createSandbox(access);
  await inRounds(pace, context, async () => {
    const restoring = await bare.prepare(context.signal);
    const snapshot = await snapshotSandbox(access, original.id);
    await sleep(REFILL_MS);
    const created = await createSandbox(access, snapshot);
    firsts.create.push(created.ms);
    await killSandbox(access, created.id);
    await deleteSnapshot(access, snapshot);
    await sleep(REFILL_MS);
    firsts.bareRestore.push(await restoring.restore());
    await restoring.kill();
    await restoring.remove();
  });
  await killSandbox(access, original.id);
  return firsts;
}

function creates(
  what: string,
  lives: Pick<Lives, 'create' | 'bareRestore'>,
  targets: readonly Target[],
): Measurement {
  const baseline = { what: 'runsc restore', samples: lives.bareRestore };
  return { row: 'create', what, unit: 'ms', samples: lives.create, baseline, targets };
}

function kills(what: string, lives: Lives): Measurement {
  const baseline = { what: 'SIGKILL', samples: lives.bareKill };
  return { row: 'kill', what, unit: 'ms', samples: lives.kill, baseline, targets: [] };
}

export const createRow: Row = {
  name: 'create',
  description:
    'POST /sandboxes and DELETE, one at a time and ten at a time, against a bare runsc restore and a SIGKILL',
  async measure(context) {
    const full = context.size === 'full';
    const pace = { rounds: full ? 20 : 4, budgetMs: full ? 60_000 : 8_000 };
    const fewer = { rounds: full ? 5 : 1, budgetMs: full ? 40_000 : 8_000 };
    const warm = await measureLives(context, 1, REFILL_MS, pace);
    const burst = await measureLives(context, AT_ONCE, REFILL_MS, fewer);
    const firsts = await measureFirsts(context, pace);
    await context.islet.restart(['--warm-memory', '0']);
    const cold = await measureLives(context, 1, SETTLE_MS, pace);
    await context.islet.restart();
    return [
      creates('create, one at a time, one kept ready', warm, WARM_TARGETS),
      creates(`create, ${AT_ONCE} at a time`, burst, []),
      creates('create, the first of a snapshot', firsts, COLD_TARGETS),
      creates('create, with --warm-memory 0', cold, COLD_TARGETS),
      kills('kill, one at a time', warm),
      kills(`kill, ${AT_ONCE} at a time`, burst),
    ];
  },
};
