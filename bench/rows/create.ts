import { setTimeout as sleep } from 'node:timers/promises';
import { createSandbox, killSandbox } from '../islet/api.ts';
import { inRounds, type Pace } from '../pace/rounds.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

/** Time for what a create or kill leaves to be done after its answer, so that it does not count as the next one's. */
const SETTLE_MS = 100;

const AT_ONCE = 10;

/** Until there are sandboxes kept ready ahead of demand, every create is a cold one. */
const TARGETS: readonly Target[] = [
  { kind: 'ratio-at-most', value: 1.25, when: 'cold' },
  { kind: 'ratio-at-most', value: 0.15, when: 'warm' },
  { kind: 'at-most', of: 'p50', value: 10, when: 'warm' },
  { kind: 'at-most', of: 'p99', value: 30, when: 'warm' },
];

interface Lives {
  create: number[];
  kill: number[];
  bareRestore: number[];
  bareKill: number[];
}

/** Lives of `atOnce` sandboxes through the API and of as many of the bare runtime, by turns. */
async function measureLives(context: RowContext, atOnce: number, pace: Pace): Promise<Lives> {
  const { access } = context;
  const lives: Lives = { create: [], kill: [], bareRestore: [], bareKill: [] };
  const bare = await context.bare();
  await killSandbox(access, (await createSandbox(access)).id);
  await inRounds(pace, context, async () => {
    const bares = await Promise.all(Array.from({ length: atOnce }, () => bare.prepare(context.signal)));
    await sleep(SETTLE_MS);
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

function creates(row: string, what: string, lives: Lives): Measurement {
  const baseline = { what: 'runsc restore', samples: lives.bareRestore };
  return { row, what, unit: 'ms', samples: lives.create, baseline, targets: TARGETS };
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
    const single = await measureLives(context, 1, { rounds: full ? 40 : 5, budgetMs: full ? 60_000 : 8_000 });
    const ten = await measureLives(context, AT_ONCE, {
      rounds: full ? 5 : 1,
      budgetMs: full ? 60_000 : 8_000,
    });
    return [
      creates('create', 'create, one at a time', single),
      creates('create', `create, ${AT_ONCE} at a time`, ten),
      kills('kill, one at a time', single),
      kills(`kill, ${AT_ONCE} at a time`, ten),
    ];
  },
};
