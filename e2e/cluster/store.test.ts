import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { TwoNodes } from './two-nodes.ts';

const LIFE_MS = 600_000;
const PORT = 8000;

describe('two nodes that share a store', () => {
  let dir: string;
  let nodes: TwoNodes;
  let connection: Awaited<ReturnType<TwoNodes['connection']>>;
  beforeAll(async () => {
    dir = await newDataDir();
    nodes = await TwoNodes.prepare({ dir, store: join(dir, 'store') });
    await Promise.all([nodes.run('one'), nodes.run('api'), nodes.run('edge')]);
    connection = await nodes.connection();
  });
  afterAll(async () => {
    await nodes?.[Symbol.asyncDispose]();
    await removeDataDir(dir);
  });

  const create = () => Sandbox.create('base', { ...connection, timeoutMs: LIFE_MS });
  const connect = (id: string) => Sandbox.connect(id, { ...connection, timeoutMs: LIFE_MS });

  it('start on one what the other has built, with a cache of its own that is empty', async () => {
    const sandbox = await until('a sandbox is created', 60_000, create, () => true);
    await sandbox.kill();
    // It builds nothing: what the first node made is in the store when its template serves there.
    const built = 'the store has the template base';
    await until(
      built,
      120_000,
      () => access(join(dir, 'store/records/builds')),
      () => true,
    );
    await nodes.run('two');
    await expect(access(join(dir, 'cache-of-two', 'layers'))).rejects.toThrow();
    await nodes.end('one', 'SIGKILL');
    const elsewhere = await until('the other node starts one', 60_000, create, () => true);
    expect((await elsewhere.commands.run('echo from two')).stdout).toBe('from two\n');
    await elsewhere.kill();
    await nodes.run('one');
  });

  it('go on with what the other has paused while that is away, and it ends what it had', async () => {
    const sandbox = await until('a sandbox is created', 60_000, create, () => true);
    const { sandboxId } = sandbox;
    const home = await homeOf(sandboxId);
    const other = home === 'one' ? 'two' : 'one';
    await sandbox.files.write('/home/user/index.html', 'from before');
    await sandbox.commands.run(`python3 -m http.server ${PORT}`, { background: true, timeoutMs: 0 });
    const counting = 'i=0; while :; do i=$((i+1)); echo $i > count; sleep 0.05; done';
    const { pid } = await sandbox.commands.run(counting, { background: true, timeoutMs: 0 });
    await until(
      'the page is served',
      60_000,
      () => page(sandboxId),
      (text) => text === '200 from before',
    );
    expect(await sandbox.pause()).toBe(true);
    const records = () => readdir(join(dir, 'store/records/sandboxes', sandboxId));
    await until('the store has it', 60_000, records, (names) => names.length === 1);
    // Or it would send it once more when it is back.
    const noted = () => readFile(join(dir, home, 'sandboxes', sandboxId, 'state.json'), 'utf8');
    await until('its node knows that', 60_000, noted, (text) => text.includes('"stored":true'));
    await nodes.end(home, 'SIGKILL');

    const resumed = await until(
      'it goes on',
      60_000,
      () => connect(sandboxId),
      () => true,
    );
    expect(await homeOf(sandboxId, other)).toBe(other);
    expect(await page(sandboxId)).toBe('200 from before');
    const listed = await resumed.commands.list();
    expect(listed.map((process) => process.pid)).toContain(pid);
    const count = async () => Number(await resumed.files.read('/home/user/count'));
    const seen = await count();
    await expect.poll(count).toBeGreaterThan(seen);

    await nodes.run(home);
    const left = () =>
      access(join(dir, home, 'sandboxes', sandboxId)).then(
        () => true,
        () => false,
      );
    await until('the first has nothing of it', 60_000, left, (isThere) => !isThere);
    expect(await page(sandboxId)).toBe('200 from before');
    // It was not ended by that, and what the store had of it is gone.
    expect(await lifeOf(sandboxId)).toEqual(['resumed', 'paused', 'created']);
    await until('the store has nothing of it', 60_000, records, (names) => names.length === 0);
    // Beside it, and of it once more.
    expect(await resumed.pause()).toBe(true);
    expect((await (await connect(sandboxId)).commands.run('cat index.html')).stdout).toBe('from before');
    expect(await resumed.kill()).toBe(true);
  });

  /** The node that has it; each keeps a folder of it. */
  async function homeOf(sandboxId: string, ...only: ('one' | 'two')[]): Promise<'one' | 'two'> {
    for (const part of only.length > 0 ? only : (['one', 'two'] as const)) {
      const isHere = await access(join(dir, part, 'sandboxes', sandboxId, 'state.json')).then(
        () => true,
        () => false,
      );
      if (isHere) return part;
    }
    throw new Error(`no node has ${sandboxId}`);
  }

  async function page(sandboxId: string): Promise<string> {
    const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(PORT) };
    const answer = await fetch(nodes.sandboxUrl, { headers, signal: AbortSignal.timeout(10_000) });
    return `${answer.status} ${(await answer.text()).trim()}`;
  }

  async function lifeOf(sandboxId: string): Promise<string[]> {
    const headers = { 'X-API-Key': connection.apiKey };
    const answer = await fetch(`${connection.apiUrl}/events/sandboxes/${sandboxId}`, { headers });
    const events = (await answer.json()) as { type: string }[];
    return events.map(({ type }) => type.replace('sandbox.lifecycle.', ''));
  }
});
