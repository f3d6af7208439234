import { spawn } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { LAUNCHER } from '../setup/processes.ts';
import { until } from '../setup/until.ts';
import { TwoNodes } from './two-nodes.ts';

const LIFE_MS = 600_000;
const PORT = 8000;
type NodeName = 'one' | 'two';

/** Answers how often it was asked: two machines that go on from one moment would say the same twice. */
const SERVER = `
import http.server
class Counting(http.server.BaseHTTPRequestHandler):
    count = 0
    def do_GET(self):
        Counting.count += 1
        body = b'%d' % Counting.count
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.HTTPServer(('', ${PORT}), Counting).serve_forever()
`;

interface Drained {
  moved: { sandboxID: string; nodeID: string; gapMs: number | null }[];
  stayed: { sandboxID: string; reason: string }[];
}

describe('two nodes that share a store', () => {
  let dir: string;
  let nodes: TwoNodes;
  let connection: Awaited<ReturnType<TwoNodes['connection']>>;
  beforeAll(async () => {
    dir = await newDataDir();
    nodes = await TwoNodes.prepare({ dir, store: join(dir, 'store') });
    await Promise.all([nodes.run('one'), nodes.run('api'), nodes.run('edge')]);
    connection = await nodes.connection();
    const built = () => access(join(dir, 'store/records/builds'));
    await until('the store has the template base', 120_000, built, () => true);
    await nodes.run('two');
    const bothAreReady = (list: { status: string }[]) => list.every(({ status }) => status === 'ready');
    await until('both nodes are ready', 60_000, () => node<{ status: string }[]>('list'), bothAreReady);
  });
  afterAll(async () => {
    await nodes?.[Symbol.asyncDispose]();
    await removeDataDir(dir);
  });

  async function node<T>(...words: string[]): Promise<T> {
    const { code, stdout, stderr } = await runIslet([
      'node',
      ...words,
      '--json',
      '--data-dir',
      join(dir, 'api'),
    ]);
    if (code !== 0) throw new Error(stderr + stdout);
    return JSON.parse(stdout) as T;
  }

  /** A sandbox with a server, on a node. */
  async function serve(home: NodeName): Promise<Sandbox> {
    const other = home === 'one' ? 'two' : 'one';
    await node('drain', other, '--keep-sandboxes');
    const create = () => Sandbox.create('base', { ...connection, timeoutMs: LIFE_MS });
    const sandbox = await until('a sandbox is created', 60_000, create, () => true);
    await node('undrain', other);
    await sandbox.files.write('/home/user/counting.py', SERVER);
    await sandbox.commands.run('python3 counting.py', { background: true, timeoutMs: 0 });
    await expect.poll(() => ask(sandbox)).toMatch(/^200 /);
    return sandbox;
  }

  /** Status and text, or how the connection ended. */
  async function ask({ sandboxId }: Sandbox): Promise<string> {
    const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(PORT) };
    try {
      const answer = await fetch(nodes.sandboxUrl, { headers, signal: AbortSignal.timeout(60_000) });
      const again = answer.status === 503 ? ` again after ${answer.headers.get('Retry-After')} s` : '';
      return `${answer.status}${again} ${await answer.text()}`;
    } catch (error) {
      return `no answer: ${((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? error}`;
    }
  }

  /** Asks a sandbox one thing after the other until it is told to end; gives what it heard. */
  function keepAsking(sandbox: Sandbox): { end(): Promise<string[]> } {
    const heard: string[] = [];
    let isOver = false;
    const asking = (async () => {
      while (!isOver) heard.push(await ask(sandbox));
    })();
    return {
      async end() {
        isOver = true;
        await asking;
        return heard;
      },
    };
  }

  async function lifeOf({ sandboxId }: Sandbox): Promise<string[]> {
    const headers = { 'X-API-Key': connection.apiKey };
    const answer = await fetch(`${connection.apiUrl}/events/sandboxes/${sandboxId}`, { headers });
    return ((await answer.json()) as { type: string }[]).map(({ type }) => type);
  }

  it('are upgraded by drains: no sandbox is lost, and none is answered by two nodes', async () => {
    const paused = await serve('one');
    await paused.files.write('/home/user/note', 'kept');
    expect(await paused.pause()).toBe(true);
    const running = [await serve('one'), await serve('two')];
    const before = await Promise.all(running.map(({ sandboxId }) => Sandbox.getInfo(sandboxId, connection)));
    const clients = running.map(keepAsking);
    for (const name of ['one', 'two'] as const) {
      const { moved, stayed } = await node<Drained>('drain', name);
      console.info(
        `gaps of the drain of ${name}, ms: ${moved.map(({ gapMs }) => gapMs ?? 'paused').join(', ')}`,
      );
      expect(stayed).toEqual([]);
      expect(moved).toHaveLength(name === 'one' ? 2 : 3);
      expect(await node('show', name)).toMatchObject({ status: 'draining', sandboxes: [] });
      await nodes.end(name, 'SIGTERM');
      await nodes.run(name);
      await node('undrain', name);
      await until(
        'it is ready',
        60_000,
        () => node<{ status: string }>('show', name),
        ({ status }) => status === 'ready',
      );
    }
    for (const [index, client] of clients.entries()) {
      const heard = await client.end();
      const counts = heard.flatMap((text) => /^200 (\d+)$/.exec(text)?.[1] ?? []).map(Number);
      // A request that was cut off may have been counted, and none is counted twice.
      expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
      const others = heard.filter((text) => !text.startsWith('200 '));
      expect(others.filter((text) => !/^503 again after 1 s|^no answer: /.test(text))).toEqual([]);
      const sandbox = running[index] as Sandbox;
      expect(await ask(sandbox)).toMatch(/^200 /);
      expect(await Sandbox.getInfo(sandbox.sandboxId, connection)).toEqual(before[index]);
      expect(await lifeOf(sandbox)).toEqual(['sandbox.lifecycle.created']);
      expect(await sandbox.kill()).toBe(true);
    }
    const resumed = await Sandbox.connect(paused.sandboxId, connection);
    expect(await resumed.files.read('/home/user/note')).toBe('kept');
    expect(await ask(resumed)).toMatch(/^200 /);
    await resumed.kill();
  });

  it('are drained also if the API dies in the middle of it', async () => {
    const sandboxes = [await serve('one'), await serve('one'), await serve('one')];
    const words = ['node', 'drain', 'one', '--at-once', '1', '--data-dir', join(dir, 'api')];
    const child = spawn(LAUNCHER, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface(child.stdout)) if (line.includes(' is on two')) break;
    await nodes.end('api', 'SIGKILL');
    child.kill();
    await nodes.run('api');
    const again = await until(
      'the node is empty',
      60_000,
      () => node<Drained>('drain', 'one'),
      () => true,
    );
    expect(again.stayed).toEqual([]);
    expect(again.moved.length).toBeLessThan(3);
    expect(await node('show', 'one')).toMatchObject({ sandboxes: [] });
    for (const sandbox of sandboxes) {
      expect(await ask(sandbox)).toMatch(/^200 /);
      expect(await sandbox.kill()).toBe(true);
    }
    await node('undrain', 'one');
  });

  it('go on where they are if a drain is interrupted, and the node stays drained', {
    tags: 'long',
  }, async () => {
    const sandboxes = [await serve('one'), await serve('one'), await serve('one'), await serve('one')];
    const words = ['node', 'drain', 'one', '--at-once', '1', '--data-dir', join(dir, 'api')];
    const child = spawn(LAUNCHER, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const said: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      if (line.includes(' is on two') && said.every((earlier) => !earlier.includes(' is on two')))
        child.kill('SIGINT');
      said.push(line);
    }
    expect(await exited).toBe(1);
    expect(said.join('\n')).toMatch(/Interrupted: `islet node drain one` goes on/);
    const moved = said.filter((line) => line.includes(' is on two')).length;
    const there = await node<{ status: string; sandboxes: { sandboxID: string }[] }>('show', 'one');
    expect(there.status).toBe('draining');
    expect(there.sandboxes).toHaveLength(sandboxes.length - moved);
    expect(there.sandboxes.length).toBeGreaterThan(0);
    for (const sandbox of sandboxes) expect(await ask(sandbox)).toMatch(/^200 /);
    expect((await node<Drained>('drain', 'one')).moved).toHaveLength(sandboxes.length - moved);
    for (const sandbox of sandboxes) expect(await sandbox.kill()).toBe(true);
    await node('undrain', 'one');
  });

  it('end what was taken over meanwhile, and say what is lost, if one stands still', async () => {
    const [running, paused] = [await serve('one'), await serve('one')];
    expect(await paused.pause()).toBe(true);
    const record = (name: NodeName) => join(dir, name, 'sandboxes', paused.sandboxId, 'state.json');
    const noted = () => readFile(record('one'), 'utf8');
    await until('the store has it', 60_000, noted, (text) => text.includes('"stored":true'));
    nodes.signal('one', 'SIGSTOP');
    const since = Date.now();
    try {
      await expect
        .poll(() => Sandbox.getInfo(running.sandboxId, connection).catch(String))
        .toMatch(/not found/i);
      console.info(`it was said after ${Date.now() - since} ms that what ran on a node is lost`);
      await Sandbox.connect(paused.sandboxId, { ...connection, timeoutMs: LIFE_MS });
      await expect.poll(() => ask(paused)).toMatch(/^200 /);
    } finally {
      nodes.signal('one', 'SIGCONT');
    }
    const client = keepAsking(paused);
    const left = () => access(record('one')).then(Boolean, () => 'nothing');
    await until('the first has nothing of it', 60_000, left, (what) => what === 'nothing');
    await expect.poll(() => ask(running)).toMatch(/^200 /);
    const heard = await client.end();
    expect(heard.filter((text) => !text.startsWith('200 '))).toEqual([]);
    const counts = heard.map((text) => Number(text.split(' ')[1]));
    expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
    for (const sandbox of [running, paused]) expect(await sandbox.kill()).toBe(true);
  });
});
