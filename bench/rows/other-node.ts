import { access, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestServer } from '@islet/s3/test-server';
import { TwoNodes } from '../../e2e/cluster/two-nodes.ts';
import { removeDataDir } from '../../e2e/setup/instance.ts';
import { until } from '../../e2e/setup/until.ts';
import { type ApiAccess, createSandbox, killSandbox, pauseSandbox, resumeSandbox } from '../islet/api.ts';
import { inRounds } from '../pace/rounds.ts';
import type { Row } from './row.ts';

const BUCKET = 'islet';
/** For what takes seconds if the machine is idle, ms. */
const PATIENCE_MS = 120_000;

export const otherNodeRow: Row = {
  name: 'other-node',
  description:
    'resume of a paused sandbox on another node, from a bucket, against one on the node that has it',
  async measure(context) {
    const pace = context.size === 'full' ? { rounds: 8, budgetMs: 240_000 } : { rounds: 2, budgetMs: 30_000 };
    const dir = await mkdtemp(join(tmpdir(), 'islet-bench-nodes-'));
    try {
      await using server = await TestServer.start();
      await server.createBucket(BUCKET);
      const env = { ...process.env, ...TestServer.env, AWS_ENDPOINT_URL_S3: server.url };
      await using nodes = await TwoNodes.prepare({ dir, store: `s3://${BUCKET}/bench`, env });
      await Promise.all([nodes.run('one'), nodes.run('api'), nodes.run('edge')]);
      await nodes.run('two');
      const api = await nodes.connection();
      const { id } = await firstSandbox(api);
      const [samples, baseline]: [number[], number[]] = [[], []];
      await inRounds(pace, context, async () => {
        await pauseSandbox(api, id);
        baseline.push(await resumeSandbox(api, id));
        await pauseSandbox(api, id);
        const home = await storedBy(dir, id);
        await nodes.end(home, 'SIGKILL');
        await knownToBeAway(dir, api, home);
        samples.push(await resumeSandbox(api, id));
        await nodes.run(home);
        const left = () =>
          access(join(dir, home, 'sandboxes', id)).then(
            () => true,
            () => false,
          );
        await until('its first node has nothing of it', PATIENCE_MS, left, (isThere) => !isThere);
      });
      await killSandbox(api, id);
      return [
        {
          ...{ row: 'other-node', what: 'resume on another node, from a bucket', unit: 'ms', samples },
          baseline: { what: 'on the node that has it', samples: baseline },
          targets: [],
        },
      ];
    } finally {
      await removeDataDir(dir);
    }
  },
};

/** Once the nodes take creates. */
function firstSandbox(api: ApiAccess) {
  return until(
    'a sandbox is created',
    PATIENCE_MS,
    () => createSandbox(api),
    () => true,
  );
}

/** Waits until the store has a paused sandbox. @returns its node */
function storedBy(dir: string, id: string): Promise<'one' | 'two'> {
  const ask = async () => {
    for (const part of ['one', 'two'] as const) {
      const record = await readFile(join(dir, part, 'sandboxes', id, 'state.json'), 'utf8').catch(() => '');
      if (record.includes('"stored":true')) return part;
    }
    throw new Error('no node has noted that the store has it');
  };
  return until('the store has it', PATIENCE_MS, ask, () => true);
}

/** Or what is measured is how long the API takes to find that out. */
async function knownToBeAway(dir: string, { apiUrl }: ApiAccess, node: string): Promise<void> {
  const token = (await readFile(join(dir, 'api/secrets/admin-token'), 'utf8')).trim();
  const ask = async () => {
    const answer = await fetch(`${apiUrl}/nodes`, { headers: { 'X-Admin-Token': token } });
    const listed = (await answer.json()) as { id: string; status: string }[];
    return listed.find(({ id }) => id === node)?.status;
  };
  await until('the API knows that the node is away', PATIENCE_MS, ask, (status) => status === 'unhealthy');
}
