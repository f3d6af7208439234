import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { openStreams } from './counting.ts';
import { openSharedStore, type SharedStore } from './shared-store.ts';
import { TwoNodes } from './two-nodes.ts';

const LIFE_MS = 600_000;
const PORT = 8000;

/** A directory as well with ISLET_TEST_STORES=directory,S3; migrate.test.ts has one, too. */
const STORES = (process.env.ISLET_TEST_STORES ?? 'S3').split(',') as ('directory' | 'S3')[];

/** Has the store away until a pause that waits for it is refused, which takes a minute. */
const isLong = process.env.ISLET_TEST_LONG_OUTAGE === '1';

describe.each(STORES)('two nodes that share a store: %s', (kind) => {
  let dir: string;
  let store: SharedStore;
  let nodes: TwoNodes;
  let connection: Awaited<ReturnType<TwoNodes['connection']>>;
  beforeAll(async () => {
    dir = await newDataDir();
    store = await openSharedStore(kind, dir);
    nodes = await TwoNodes.prepare({ dir, store: store.name, ofTwo: ['--durable-pause'] });
    await Promise.all([nodes.run('one'), nodes.run('api'), nodes.run('edge')]);
    connection = await nodes.connection();
  });
  afterAll(async () => {
    await nodes?.[Symbol.asyncDispose]();
    await store?.[Symbol.asyncDispose]();
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
      () => store.keys('records/builds/'),
      (keys) => keys.length > 0,
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
    await until('the store has it', 60_000, recordsOf(sandboxId), (keys) => keys.length === 1);
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
    await until('the store has nothing of it', 60_000, recordsOf(sandboxId), (keys) => keys.length === 0);
    // Beside it, and of it once more.
    expect(await resumed.pause()).toBe(true);
    expect((await (await connect(sandboxId)).commands.run('cat index.html')).stdout).toBe('from before');
    expect(await resumed.kill()).toBe(true);
  });

  it.skipIf(kind === 'directory')(
    'go on with what runs while the store is away, and send what waits when it is back',
    async () => {
      const [onOne, onTwo] = [await createOn('one'), await createOn('two')];
      const streams = await openStreams(onOne, nodes.sandboxUrl);
      await streams.goOn();
      await store.server?.stop();

      await streams.goOn();
      const waiting = await create();
      const home = await homeOf(waiting.sandboxId);
      await waiting.files.write('note', 'kept');
      // On the first node it is answered when its disk has it, on the other when the store has it.
      const durable = pause(onTwo.sandboxId);
      const plain = home === 'one' ? waiting : await createOn('one');
      expect(await pause(plain.sandboxId)).toEqual({ status: 204, retryAfter: null });
      const again = await connect(plain.sandboxId);
      expect((await again.commands.run('echo back')).stdout).toBe('back\n');
      expect(await pause(plain.sandboxId)).toEqual({ status: 204, retryAfter: null });
      if (isLong) expect(await durable).toEqual({ status: 503, retryAfter: '1' });
      await streams.goOn();

      await store.server?.restart();
      for (const { sandboxId } of [plain, onTwo]) {
        await until('the store has it', 60_000, recordsOf(sandboxId), (keys) => keys.length === 1);
      }
      if (!isLong) expect(await durable).toEqual({ status: 204, retryAfter: null });
      await streams.goOn();
      await streams.end();
      for (const { sandboxId } of [plain, onOne, onTwo, waiting]) await Sandbox.kill(sandboxId, connection);
    },
  );

  // The last one: a node is gone for good.
  it('go on with what a node paused while no API ran, though it never comes back', {
    timeout: 300_000,
    tags: 'long',
  }, async () => {
    const pausing = { timeoutMs: LIFE_MS, lifecycle: { onTimeout: 'pause' as const } };
    const make = () => Sandbox.create('base', { ...connection, ...pausing });
    const sandbox = await until('a sandbox is created', 60_000, make, () => true);
    const { sandboxId } = sandbox;
    const home = await homeOf(sandboxId);
    await sandbox.files.write('/home/user/note', 'unheard');
    await sandbox.setTimeout(5_000);
    await nodes.end('api', 'SIGKILL');
    const noted = await readFile(join(dir, home, 'sandboxes', sandboxId, 'state.json'), 'utf8');
    expect(noted).toContain('SANDBOX_STATE_RUNNING');
    await until('the store has it', 120_000, recordsOf(sandboxId), (keys) => keys.length === 1);
    await nodes.end(home, 'SIGKILL');

    await nodes.run('api');
    const resumed = await until(
      'it goes on',
      120_000,
      () => connect(sandboxId),
      () => true,
    );
    expect(await homeOf(sandboxId, home === 'one' ? 'two' : 'one')).not.toBe(home);
    expect(await resumed.files.read('/home/user/note')).toBe('unheard');
    await until('the store has nothing of it', 60_000, recordsOf(sandboxId), (keys) => keys.length === 0);
    expect(await resumed.kill()).toBe(true);
    // Which takes what it had on this machine with it at its end.
    await nodes.run(home);
  });

  /** A pause without the SDK, which says less of a refusal. */
  async function pause(sandboxId: string): Promise<{ status: number; retryAfter: string | null }> {
    const headers = { 'X-API-Key': connection.apiKey };
    const answer = await fetch(`${connection.apiUrl}/sandboxes/${sandboxId}/pause`, {
      method: 'POST',
      headers,
    });
    return { status: answer.status, retryAfter: answer.headers.get('Retry-After') };
  }

  /** Creates until the node gets one. */
  async function createOn(part: 'one' | 'two'): Promise<Sandbox> {
    const others: Sandbox[] = [];
    const made = await until(
      `a sandbox is created on ${part}`,
      60_000,
      async () => {
        const sandbox = await create();
        if ((await homeOf(sandbox.sandboxId)) === part) return sandbox;
        others.push(sandbox);
        return undefined;
      },
      (sandbox) => sandbox !== undefined,
    );
    await Promise.all(others.map((other) => other.kill()));
    return made as Sandbox;
  }

  function recordsOf(sandboxId: string): () => Promise<string[]> {
    return () => store.keys(`records/sandboxes/${sandboxId}/`);
  }

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
