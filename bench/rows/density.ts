import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { islet } from '../../e2e/setup/instance.ts';
import { machineOf } from '../../e2e/setup/machine.ts';
import { sandboxMemory } from '../host/processes.ts';
import { createSandbox, killSandbox } from '../islet/api.ts';
import type { Row, RowContext } from './row.ts';

const COUNT = { quick: 24, full: 200 };
const CREATES_AT_ONCE = 4;
const REST_MS = { quick: 1_000, full: 10_000 };
/** Of the machine's memory this much is left to others. */
const SPARED_BYTES = 3 * 1024 ** 3;
const TEAM = 'local-dev-team';
const MB = 1e6;

/** As many as are wanted and fit; whatever happens, they are ended after `use`. */
async function withIdle<T>(context: RowContext, use: (ids: readonly string[]) => Promise<T>): Promise<T> {
  const { access, progress, signal, size } = context;
  const ids: string[] = [];
  try {
    while (ids.length < COUNT[size] && freemem() > SPARED_BYTES) {
      signal.throwIfAborted();
      progress(ids.length, COUNT[size]);
      const created = await Promise.all(Array.from({ length: CREATES_AT_ONCE }, () => createSandbox(access)));
      ids.push(...created.map(({ id }) => id));
    }
    return await use(ids);
  } finally {
    // A few at a time: hundreds of ends at once would be a measurement of their own.
    while (ids.length > 0) await Promise.all(ids.splice(0, 10).map((id) => killSandbox(access, id)));
  }
}

export const densityRow: Row = {
  name: 'density',
  description: `${COUNT.full} idle sandboxes at once: the memory of each, and that each still answers`,
  async measure(context) {
    const { access, signal, size } = context;
    const limit = String(COUNT.full + CREATES_AT_ONCE);
    await islet('teams', 'limit', TEAM, '--sandboxes', limit, '--data-dir', access.dataDir);
    return withIdle(context, async (ids) => {
      await sleep(REST_MS[size], undefined, { signal });
      const pss: number[] = [];
      let silent = 0;
      for (const id of ids) {
        pss.push((await sandboxMemory(await machineOf(access.dataDir, id))).pss / MB);
        const health = await fetch(`${access.sandboxUrl}/health`, {
          headers: { 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': '49983' },
        });
        if (health.status !== 204) silent++;
      }
      return [
        {
          row: 'density',
          what: `PSS a sandbox, ${ids.length} idle`,
          unit: 'MB',
          samples: pss,
          targets: [{ kind: 'at-most', of: 'p50', value: 75 }],
        },
        {
          row: 'density',
          what: `of ${ids.length}, no answer from`,
          unit: 'things',
          samples: [silent],
          targets: [{ kind: 'at-most', of: 'p50', value: 0 }],
        },
      ];
    });
  },
};
