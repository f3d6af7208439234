import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox as CodeInterpreter } from '@e2b/code-interpreter';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { islet, newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { type Role, Roles } from './roles.ts';

const PORT = 8000;
const LIFE_MS = 600_000;
/** A machine that has built it before takes seconds; one that has not installs a thousand packages. */
const BUILD_MS = 1_500_000;

describe('API, edge and node in processes of their own', () => {
  let dir: string;
  let roles: Roles;
  /** One that runs throughout, with a process that counts. */
  let lasting: Sandbox;
  let counter: number;
  let connection: { apiUrl: string; sandboxUrl: string; apiKey: string };
  /** A sandbox whose life is over. */
  let ended = '';
  beforeAll(async () => {
    dir = await newDataDir();
    roles = await Roles.start(dir);
    const { apiUrl, sandboxUrl } = roles;
    const apiKey = (await readFile(join(dir, 'api/secrets/api-key'), 'utf8')).trim();
    connection = { apiUrl, sandboxUrl, apiKey };
    // The API begins to serve before the node has built its template.
    lasting = await until('a sandbox is created', 60_000, create, () => true);
    await serve(lasting);
    const counting = 'i=0; while :; do i=$((i+1)); echo $i > count; sleep 0.05; done';
    const { pid } = await lasting.commands.run(counting, { background: true, timeoutMs: 0 });
    counter = pid;
  });
  afterAll(async () => {
    await roles?.[Symbol.asyncDispose]();
    await removeDataDir(dir);
  });

  const create = () => Sandbox.create('base', { ...connection, timeoutMs: LIFE_MS });

  async function serve(sandbox: Sandbox): Promise<void> {
    await sandbox.files.write('/home/user/index.html', 'from inside');
    await sandbox.commands.run(`python3 -m http.server ${PORT}`, { background: true, timeoutMs: 0 });
  }

  async function page({ sandboxId }: Sandbox): Promise<string> {
    const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(PORT) };
    const answer = await fetch(roles.sandboxUrl, { headers, signal: AbortSignal.timeout(10_000) });
    return `${answer.status} ${(await answer.text()).trim()}`;
  }

  it('serve the core of the SDK', async () => {
    const sandbox = await create();
    expect((await sandbox.commands.run('echo hello')).stdout).toBe('hello\n');
    await serve(sandbox);
    await expect.poll(() => page(sandbox)).toBe('200 from inside');
    expect(await sandbox.pause()).toBe(true);
    expect((await fetchStatus(sandbox)).status).toBe(502);
    const resumed = await Sandbox.connect(sandbox.sandboxId, connection);
    expect(await resumed.files.read('/home/user/index.html')).toBe('from inside');
    await expect.poll(() => page(resumed)).toBe('200 from inside');
    expect(await resumed.kill()).toBe(true);
    expect((await fetchStatus(resumed)).status).toBe(502);
  });

  it('read at the API what the node has noted of a sandbox, also when that is over', async () => {
    const sandbox = await create();
    ended = sandbox.sandboxId;
    await sandbox.commands.run('exit 3').catch(() => undefined);
    const read = <T>(path: string) => fetchJson<T>(`/${path.replace('{id}', ended)}`);
    const { logs } = await read<{ logs: { fields: Record<string, string> }[] }>('v2/sandboxes/{id}/logs');
    expect(logs.flatMap(({ fields }) => fields.exit_code ?? [])).toContain('3');
    expect(new Set(logs.map(({ fields }) => fields.logger))).toEqual(new Set(['process', 'orchestrator']));
    await expect.poll(() => read<unknown[]>('sandboxes/{id}/metrics')).not.toEqual([]);
    await sandbox.kill();
    await expect.poll(lifeOfEnded).toEqual(['killed', 'created']);
  });

  describe.each(['edge', 'api', 'node'] satisfies Role[])('under load, when the %s is killed', (role) => {
    it('go on with what ran, and take up their links', async () => {
      let isOver = false;
      const load = Array.from({ length: 2 }, async () => {
        while (!isOver) await page(lasting).catch(() => undefined);
      });
      await roles.end(role, 'SIGKILL');
      await roles.run(role);
      await expect.poll(() => page(lasting).catch(String)).toBe('200 from inside');
      isOver = true;
      await Promise.all(load);

      // The same processes: they went on all the while.
      const listed = await lasting.commands.list();
      expect(listed.map((process) => process.pid)).toContain(counter);
      const count = async () => Number(await lasting.files.read('/home/user/count'));
      const seen = await count();
      await expect.poll(count).toBeGreaterThan(seen);
      const connect = () => Sandbox.connect(lasting.sandboxId, connection);
      await expect.poll(async () => (await connect().catch(() => undefined))?.sandboxId).toBeDefined();
      // The edge finds a new one at once.
      const made = await create();
      expect((await made.commands.run('echo new')).stdout).toBe('new\n');
      expect(await made.kill()).toBe(true);
      // An API that has forgotten asks the node, which keeps what it noted.
      await expect.poll(lifeOfEnded).toEqual(['killed', 'created']);
    });
  });

  it('offer the further templates of Islet: the first use of a name has the node build one', {
    timeout: BUILD_MS,
    tags: 'long',
  }, async () => {
    const createInterpreter = () => CodeInterpreter.create({ ...connection, timeoutMs: LIFE_MS });
    await expect(createInterpreter()).rejects.toThrow(/is being built/);
    const ofApi = ['--json', '--data-dir', join(dir, 'api')];
    const said = await islet('template', 'build', 'code-interpreter', ...ofApi);
    expect(JSON.parse(said.trim().split('\n').at(-1) ?? '')).toMatchObject({ name: 'code-interpreter-v1' });
    const run = async () => {
      const interpreter = await until('a sandbox of it is created', 60_000, createInterpreter, () => true);
      const { text } = await interpreter.runCode('1 + 1');
      await interpreter.kill();
      return text;
    };
    expect(await run()).toBe('2');

    // One that is to have it begins to serve when it has, which takes no time now.
    expect(await roles.end('node', 'SIGTERM')).toBe(0);
    await roles.run('node', ['--with', 'code-interpreter']);
    expect(await run()).toBe('2');
    await expect(islet('template', 'build', 'nothing', ...ofApi)).rejects.toMatchObject({
      stdout: expect.stringContaining('there are: code-interpreter'),
    });
  });

  async function lifeOfEnded(): Promise<string[]> {
    const events = await fetchJson<{ type: string }[]>(`/events/sandboxes/${ended}`);
    return events.map(({ type }) => type.replace('sandbox.lifecycle.', ''));
  }

  async function fetchJson<T>(path: string): Promise<T> {
    const headers = { 'X-API-Key': connection.apiKey };
    const answer = await fetch(connection.apiUrl + path, { headers });
    expect(answer.status).toBe(200);
    return (await answer.json()) as T;
  }

  async function fetchStatus({ sandboxId }: Sandbox): Promise<{ status: number }> {
    const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(PORT) };
    return fetch(roles.sandboxUrl, { headers });
  }
});
