import { join } from 'node:path';
import { TestServer } from '@islet/redis/test-server';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Roles } from '../roles/roles.ts';
import { runIslet } from '../setup/command.ts';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { openStreams } from './counting.ts';

const LIFE_MS = 600_000;
const LIMIT = 3;

let dir: string;
let server: TestServer;
let roles: Roles;
let connection: { apiUrl: string; sandboxUrl: string; apiKey: string };
beforeAll(async () => {
  dir = await newDataDir();
  server = await TestServer.start('redis-server');
  roles = await Roles.start(dir, { api: ['--redis-url', server.url] });
  const { apiUrl, sandboxUrl } = roles;
  const { slug } = await tell<{ slug: string }>('teams', 'create', '--name', 'live');
  await tell('teams', 'limit', slug, '--sandboxes', String(LIMIT));
  const { key } = await tell<{ key: string }>('keys', 'create', '--team', slug);
  connection = { apiUrl, sandboxUrl, apiKey: key };
});
afterAll(async () => {
  await roles?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await removeDataDir(dir);
});

/** Runs a command of the operator beside the API. */
async function tell<T>(...words: string[]): Promise<T> {
  const { code, stdout, stderr } = await runIslet([...words, '--json', '--data-dir', join(dir, 'api')]);
  if (code !== 0) throw new Error(`islet ${words.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

const create = () => Sandbox.create('base', { ...connection, timeoutMs: LIFE_MS });

/** A create without the SDK, which says less of a refusal. */
async function post(): Promise<{ status: number; retryAfter: string | null; code?: string; id?: string }> {
  const answer = await fetch(`${connection.apiUrl}/sandboxes`, {
    method: 'POST',
    headers: { 'X-API-Key': connection.apiKey, 'Content-Type': 'application/json' },
    body: JSON.stringify({ templateID: 'base', timeout: LIFE_MS / 1000 }),
  });
  const { error_code: code, sandboxID: id } = (await answer.json()) as Record<string, string>;
  const retryAfter = answer.headers.get('Retry-After');
  return { status: answer.status, retryAfter, ...(code && { code }), ...(id && { id }) };
}

it('serves the core of the SDK', async () => {
  const sandbox = await until('a sandbox is created', 60_000, create, () => true);
  expect((await sandbox.commands.run('echo hello')).stdout).toBe('hello\n');
  await sandbox.files.write('/home/user/note', 'kept');
  expect(await sandbox.pause()).toBe(true);
  const resumed = await Sandbox.connect(sandbox.sandboxId, connection);
  expect(await resumed.files.read('/home/user/note')).toBe('kept');
  expect(await resumed.kill()).toBe(true);
});

it('goes on with what runs while Redis is dead, says what it cannot do, and has forgotten nothing when it is back, empty', async () => {
  const sandbox = await create();
  const streams = await openStreams(sandbox, roles.sandboxUrl);
  await streams.goOn();

  await server.stop();
  await expect.poll(post).toEqual({ status: 503, retryAfter: '1', code: 'live_store_unavailable' });
  await streams.goOn();
  expect((await sandbox.commands.run('echo new')).stdout).toBe('new\n');
  expect(await Sandbox.getInfo(sandbox.sandboxId, connection)).toMatchObject({ state: 'running' });
  await streams.goOn();

  await server.restart();
  const made: string[] = [];
  const again = async () => {
    const { status, id } = await post();
    if (id) made.push(id);
    return status;
  };
  await until('a sandbox is created', 60_000, again, (status) => status === 201);
  await streams.goOn();
  expect(await Promise.all(Array.from({ length: 6 }, again))).toEqual(
    expect.arrayContaining([201, 429, 429, 429, 429, 429]),
  );
  expect(made).toHaveLength(LIMIT - 1);
  for (const id of made) {
    const other = await Sandbox.connect(id, connection);
    expect((await other.commands.run('echo found')).stdout).toBe('found\n');
    expect(await other.kill()).toBe(true);
  }
  await streams.end();
  expect(await sandbox.kill()).toBe(true);
});

it('does not start without its Redis, and says what to do, but no password', async () => {
  const nowhere = join(dir, 'nobody.sock');
  const refused = (url: string) =>
    runIslet(
      [
        'api',
        '--data-dir',
        join(dir, 'other'),
        '--nodes',
        join(dir, 'nodes.json'),
        '--api-port',
        '0',
        '--edge-link-port',
        '0',
      ],
      {
        env: { ISLET_REDIS_URL: url },
      },
    );
  const away = await refused(`unix://${nowhere}`);
  expect(away.code).toBe(1);
  expect(away.stdout).toContain(`unix://${nowhere} cannot be used`);
  expect(away.stdout).toContain('ISLET_REDIS_URL');
  const tcp = await refused('redis://islet:hunter2@127.0.0.1:1');
  expect(tcp.stdout).toContain('redis://127.0.0.1:1 cannot be used');
  expect(tcp.stdout + tcp.stderr).not.toContain('hunter2');
});
