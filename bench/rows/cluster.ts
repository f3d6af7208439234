import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '@islet/db/test-server';
import { TestServer } from '@islet/redis/test-server';
import { Roles } from '../../e2e/roles/roles.ts';
import { type ApiAccess, createSandbox, killSandbox } from '../islet/api.ts';
import { inRounds } from '../pace/rounds.ts';
import type { Row } from './row.ts';

/** Time for what was taken to be made ready again. */
const REFILL_MS = 1_500;
/** Each creates from what is kept ready. */
const CREATES_A_ROUND = 2;

export const clusterRow: Row = {
  name: 'cluster',
  description:
    'create through API, edge and node as processes over PostgreSQL and Redis, against one process',
  async measure(context) {
    const pace =
      context.size === 'full' ? { rounds: 25, budgetMs: 120_000 } : { rounds: 5, budgetMs: 25_000 };
    const dir = await mkdtemp(join(tmpdir(), 'islet-bench-cluster-'));
    const [samples, baseline]: [number[], number[]] = [[], []];
    const postgres = await startPostgres();
    try {
      await using redis = await TestServer.start('redis-server');
      const url = await postgres.createDatabase('bench');
      await using roles = await Roles.start(dir, { api: ['--redis-url', redis.url, '--database-url', url] });
      const apiKey = (await readFile(join(dir, 'api/secrets/api-key'), 'utf8')).trim();
      const cluster: ApiAccess = { apiUrl: roles.apiUrl, apiKey };
      const measure = async (caller: ApiAccess, times: number[]) => {
        await sleep(REFILL_MS);
        const made = [];
        for (let count = 0; count < CREATES_A_ROUND; count++) made.push(await createSandbox(caller));
        times.push(...made.map(({ ms }) => ms));
        for (const { id } of made) await killSandbox(caller, id);
      };
      for (const caller of [cluster, context.access]) await measure(caller, []);
      await inRounds(pace, context, async () => {
        await measure(cluster, samples);
        await measure(context.access, baseline);
      });
    } finally {
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    }
    return [
      {
        ...{
          row: 'cluster',
          what: 'create through a cluster, one at a time, two kept ready',
          unit: 'ms',
          samples,
        },
        baseline: { what: 'one process', samples: baseline },
        targets: [{ kind: 'added-at-most', value: 3 }],
      },
    ];
  },
};
