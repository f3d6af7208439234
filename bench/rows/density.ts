import { readFile } from 'node:fs/promises';
import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { machineOf } from '../../e2e/setup/machine.ts';
import { findSandboxProcesses, sandboxMemory } from '../host/processes.ts';
import { createSandbox, killSandbox } from '../islet/api.ts';
import { allowMany } from '../islet/limits.ts';
import { inTurn, settleAll } from '../pace/together.ts';
import type { Measurement, Target } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

const COUNT = { quick: 24, full: 200 };
const CREATES_AT_ONCE = 4;
const ENDS_AT_ONCE = 10;
const REST_MS = { quick: 1_000, full: 10_000 };
/** Creates beside them, one at a time. */
const BESIDE = { quick: 4, full: 20 };
/** Time in which the pool makes the sandbox that the next create takes. */
const REFILL_MS = 1_500;
/** Of the machine's memory this much is left to others. */
const SPARED_BYTES = 3 * 1024 ** 3;
const FREEZE_AFTER_S = 2;
const FREEZE_DEADLINE_MS = 120_000;
const MB = 1e6;

interface Density {
  count: number;
  /** MB of each. */
  pss: number[];
  /** How many did not answer. */
  silent: number;
  /** Creates with nothing else there, ms. */
  alone: number[];
  /** Creates beside all of them, ms. */
  beside: number[];
}

/** As many as are wanted and fit; whatever happens, they are ended after `use`. */
async function withIdle<T>(context: RowContext, use: (ids: readonly string[]) => Promise<T>): Promise<T> {
  const { access, progress, signal, size } = context;
  const ids: string[] = [];
  const create = async () => ids.push((await createSandbox(access)).id);
  try {
    while (ids.length < COUNT[size] && freemem() > SPARED_BYTES) {
      signal.throwIfAborted();
      progress(ids.length, COUNT[size]);
      await settleAll(Array.from({ length: CREATES_AT_ONCE }, create));
    }
    return await use(ids);
  } finally {
    // A few at a time: hundreds of ends at once would be a measurement of their own.
    await inTurn(ids, ENDS_AT_ONCE, (id) => killSandbox(access, id));
  }
}

/** One after another, each of which finds one that is kept ready. */
async function creates({ access, signal, size }: RowContext): Promise<number[]> {
  const times: number[] = [];
  while (times.length < BESIDE[size]) {
    await sleep(REFILL_MS, undefined, { signal });
    const { id, ms } = await createSandbox(access);
    times.push(ms);
    await killSandbox(access, id);
  }
  return times;
}

/** Waits until all of them stand still. @throws Error if they do not */
async function untilFrozen({ access, signal }: RowContext, ids: readonly string[]): Promise<void> {
  const deadline = performance.now() + FREEZE_DEADLINE_MS;
  for (const id of ids) {
    const { sentry } = await findSandboxProcesses(await machineOf(access.dataDir, id));
    while (!/^State:\tT/m.test(await readFile(`/proc/${sentry}/status`, 'utf8'))) {
      if (performance.now() > deadline) throw new Error(`sandbox ${id} is not frozen, though nobody uses it`);
      await sleep(100, undefined, { signal });
    }
  }
}

async function answers({ access }: RowContext, id: string): Promise<boolean> {
  const headers = { 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': '49983' };
  return (await fetch(`${access.sandboxUrl}/health`, { headers })).status === 204;
}

async function measureDensity(context: RowContext, isFreezing: boolean): Promise<Density> {
  const { access, signal, size } = context;
  const alone = await creates(context);
  return withIdle(context, async (ids) => {
    if (isFreezing) await untilFrozen(context, ids);
    await sleep(REST_MS[size], undefined, { signal });
    const pss: number[] = [];
    for (const id of ids) pss.push((await sandboxMemory(await machineOf(access.dataDir, id))).pss / MB);
    const beside = await creates(context);
    let silent = 0;
    for (const id of ids) if (!(await answers(context, id))) silent++;
    return { count: ids.length, pss, silent, alone, beside };
  });
}

function lines({ count, pss, silent, alone, beside }: Density, kind: string): Measurement[] {
  const most = (value: number): Target[] => [{ kind: 'at-most', of: 'p50', value }];
  const row = 'density';
  return [
    { row, what: `PSS a sandbox, ${count} ${kind}`, unit: 'MB', samples: pss, targets: most(40) },
    {
      row,
      what: `of ${count} ${kind}, no answer from`,
      unit: 'things',
      samples: [silent],
      targets: most(0),
    },
    {
      row,
      what: `create beside ${count} ${kind}`,
      unit: 'ms',
      samples: beside,
      baseline: { what: 'beside none', samples: alone },
      targets: [],
    },
  ];
}

export const densityRow: Row = {
  name: 'density',
  description: `${COUNT.full} idle sandboxes at once, frozen ones too: their memory, that each answers, creates beside them`,
  async measure(context) {
    await allowMany(context.access);
    const idle = await measureDensity(context, false);
    await context.islet.restart(['--freeze-after', `${FREEZE_AFTER_S}`]);
    try {
      const frozen = await measureDensity({ ...context, access: context.islet.access }, true);
      return [...lines(idle, 'idle'), ...lines(frozen, 'frozen')];
    } finally {
      await context.islet.restart();
    }
  },
};
