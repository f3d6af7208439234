import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BareRuntime } from '../host/bare-runtime.ts';
import { createSandbox, killSandbox, pauseSandbox, resumeSandbox } from '../islet/api.ts';
import { inRounds } from '../pace/rounds.ts';
import type { Target } from '../report/measurement.ts';
import type { Row } from './row.ts';

/** Time in which a restored sandbox comes to rest, for Islet's and the bare one alike. */
const REST_MS = 3_000;

const TARGETS: readonly Target[] = [{ kind: 'ratio-at-most', value: 1.3 }];

interface Cycle {
  save: number;
  restore: number;
}

/** A bare sandbox is restored, saved, and restored from what was saved. */
async function bareCycle(bare: BareRuntime, signal: AbortSignal): Promise<Cycle> {
  const imageDir = await mkdtemp(join(tmpdir(), 'islet-bench-image-'));
  try {
    const first = await bare.prepare(signal);
    await first.restore();
    await sleep(REST_MS, undefined, { signal });
    const save = await first.checkpoint(imageDir);
    const second = await bare.prepare(signal, imageDir);
    const restore = await second.restore();
    await second.kill();
    for (const sandbox of [first, second]) await sandbox.remove();
    return { save, restore };
  } finally {
    await rm(imageDir, { recursive: true, force: true });
  }
}

export const pauseRow: Row = {
  name: 'pause',
  description: 'pause and resume of an idle sandbox, against a bare runsc checkpoint and restore of the same',
  async measure(context) {
    const { access, size, signal } = context;
    const pace = size === 'full' ? { rounds: 15, budgetMs: 150_000 } : { rounds: 2, budgetMs: 8_000 };
    const bare = await context.bare();
    const islets: Cycle[] = [];
    const bares: Cycle[] = [];
    const { id } = await createSandbox(access);
    try {
      await inRounds(pace, context, async () => {
        await sleep(REST_MS, undefined, { signal });
        islets.push({ save: await pauseSandbox(access, id), restore: await resumeSandbox(access, id) });
        bares.push(await bareCycle(bare, signal));
      });
    } finally {
      await killSandbox(access, id);
    }
    return (
      [
        ['pause, idle', 'save', 'runsc checkpoint'],
        ['resume, idle', 'restore', 'runsc restore'],
      ] as const
    ).map(([what, part, baseline]) => ({
      row: 'pause',
      what,
      unit: 'ms' as const,
      samples: islets.map((cycle) => cycle[part]),
      baseline: { what: baseline, samples: bares.map((cycle) => cycle[part]) },
      targets: TARGETS,
    }));
  },
};
