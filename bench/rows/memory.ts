import { setTimeout as sleep } from 'node:timers/promises';
import { machineOf } from '../../e2e/setup/machine.ts';
import { sandboxMemory } from '../host/processes.ts';
import { createSandbox, killSandbox } from '../islet/api.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

const MANY = 20;
const CREATES_AT_ONCE = 4;
/** Time in which a new sandbox comes to rest. */
const SETTLE_MS = { quick: 1000, full: 3000 };

interface Uses {
  rss: number[];
  pss: number[];
}

const MB = 1e6;
const MOST_MB = 40;

async function measureIdle(context: RowContext, count: number): Promise<Uses> {
  const { access, progress, signal } = context;
  const ids: string[] = [];
  try {
    while (ids.length < count) {
      signal.throwIfAborted();
      progress(ids.length, count);
      const next = Math.min(CREATES_AT_ONCE, count - ids.length);
      const created = await Promise.all(Array.from({ length: next }, () => createSandbox(access)));
      ids.push(...created.map(({ id }) => id));
    }
    await sleep(SETTLE_MS[context.size], undefined, { signal });
    const uses = [];
    for (const id of ids) uses.push(await sandboxMemory(await machineOf(access.dataDir, id)));
    return { rss: uses.map(({ rss }) => rss / MB), pss: uses.map(({ pss }) => pss / MB) };
  } finally {
    await Promise.all(ids.map((id) => killSandbox(access, id)));
  }
}

async function measureBare(context: RowContext): Promise<Uses> {
  const sandbox = await (await context.bare()).prepare(context.signal);
  await sandbox.restore();
  await sleep(SETTLE_MS[context.size], undefined, { signal: context.signal });
  const { rss, pss } = await sandbox.memory();
  await sandbox.kill();
  await sandbox.remove();
  return { rss: [rss / MB], pss: [pss / MB] };
}

function line(count: number, uses: Uses, bare: Uses, kind: keyof Uses): Measurement {
  return {
    row: 'memory',
    what: `${kind.toUpperCase()} a sandbox, ${count} idle`,
    unit: 'MB',
    samples: uses[kind],
    baseline: { what: 'runsc restore', samples: bare[kind] },
    targets: kind === 'pss' ? [{ kind: 'at-most', of: 'p50', value: MOST_MB }] : [],
  };
}

export const memoryRow: Row = {
  name: 'memory',
  description: 'resident and proportional memory of an idle sandbox, alone and among 20',
  async measure(context) {
    const bare = await measureBare(context);
    const one = await measureIdle(context, 1);
    const many = await measureIdle(context, MANY);
    return (['pss', 'rss'] as const).flatMap((kind) => [
      line(1, one, bare, kind),
      line(MANY, many, bare, kind),
    ]);
  },
};
