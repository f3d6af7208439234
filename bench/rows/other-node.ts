import { access, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestServer } from '@islet/s3/test-server';
import { TwoNodes } from '../../e2e/cluster/two-nodes.ts';
import { removeDataDir } from '../../e2e/setup/instance.ts';
import { until } from '../../e2e/setup/until.ts';
import { type ApiAccess, createSandbox, killSandbox, pauseSandbox, resumeSandbox } from '../islet/api.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Row } from './row.ts';

const BUCKET = 'islet';
/** For what takes seconds if the machine is idle, ms. */
const PATIENCE_MS = 120_000;

export const otherNodeRow: Row = {
  name: 'other-node',
  description:
    'resume of a paused sandbox on another node, from a bucket and from the node that has it, against one on that node; the gap of a sandbox that is moved while it runs, against a pause and a resume',
  async measure(context) {
    const pace = context.size === 'full' ? { rounds: 8, budgetMs: 300_000 } : { rounds: 2, budgetMs: 30_000 };
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
      const [home, bucket, peer, stop, gap]: number[][] = [[], [], [], [], []];
      const adminToken = (await readFile(join(dir, 'api/secrets/admin-token'), 'utf8')).trim();
      const operator: Operator = { dir, apiUrl: api.apiUrl, adminToken };
      await inRounds(pace, context, async () => {
        const pauseMs = await pauseSandbox(api, id);
        const resumeMs = await resumeSandbox(api, id);
        home?.push(resumeMs);
        stop?.push(pauseMs + resumeMs);
        gap?.push((await move(operator, id)) ?? Number.NaN);

        await pauseSandbox(api, id);
        peer?.push((await timed(() => move(operator, id))) + (await resumeSandbox(api, id)));

        await pauseSandbox(api, id);
        const from = await storedBy(dir, id);
        await nodes.end(from, 'SIGKILL');
        await statusOf(operator, from, 'unhealthy');
        bucket?.push(await resumeSandbox(api, id));
        await nodes.run(from);
        const left = () => isAt(dir, from, id);
        await until('its first node has nothing of it', PATIENCE_MS, left, (isThere) => !isThere);
        await statusOf(operator, from, 'ready');
      });
      await killSandbox(api, id);
      const baseline = { what: 'on the node that has it', samples: home ?? [] };
      const row = (what: string, samples: number[] | undefined) =>
        ({ row: 'other-node', what, unit: 'ms', samples: samples ?? [], baseline, targets: [] }) as const;
      return [
        row('resume on another node, from a bucket', bucket),
        row('resume on another node, from the node that has it', peer),
        {
          ...row('gap of an idle sandbox that is moved', gap),
          baseline: { what: 'pause and resume on one node', samples: stop ?? [] },
          targets: [{ kind: 'ratio-at-most', value: 1.5 }],
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

interface Operator {
  dir: string;
  apiUrl: string;
  adminToken: string;
}

const NODES = ['one', 'two'] as const;

function isAt(dir: string, node: string, id: string): Promise<boolean> {
  return access(join(dir, node, 'sandboxes', id, 'state.json')).then(
    () => true,
    () => false,
  );
}

/** Has the node that has a sandbox give it to the other. @returns for how long it did not answer, ms; null if it was paused */
async function move({ dir, apiUrl, adminToken }: Operator, id: string): Promise<number | null> {
  const [isOnOne] = await Promise.all(NODES.map((node) => isAt(dir, node, id)));
  const url = `${apiUrl}/nodes/${isOnOne ? 'one' : 'two'}/sandboxes/${id}/move`;
  const answer = await fetch(url, { method: 'POST', headers: { 'X-Admin-Token': adminToken } });
  if (!answer.ok) throw new Error(`a sandbox was not moved: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { gapMs: number | null }).gapMs;
}

/** Waits until the store has a paused sandbox. @returns its node */
function storedBy(dir: string, id: string): Promise<'one' | 'two'> {
  const ask = async () => {
    for (const part of NODES) {
      const record = await readFile(join(dir, part, 'sandboxes', id, 'state.json'), 'utf8').catch(() => '');
      if (record.includes('"stored":true')) return part;
    }
    throw new Error('no node has noted that the store has it');
  };
  return until('the store has it', PATIENCE_MS, ask, () => true);
}

/** Waits until the API knows how a node is, or what is measured is how long it takes to find that out. */
async function statusOf({ apiUrl, adminToken }: Operator, node: string, wanted: string): Promise<void> {
  const ask = async () => {
    const answer = await fetch(`${apiUrl}/nodes`, { headers: { 'X-Admin-Token': adminToken } });
    const listed = (await answer.json()) as { id: string; status: string }[];
    return listed.find(({ id }) => id === node)?.status;
  };
  await until(`the API has ${node} as ${wanted}`, PATIENCE_MS, ask, (status) => status === wanted);
}
