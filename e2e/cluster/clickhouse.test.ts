import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestServer } from '@islet/analytics/test-server';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { ControlPlane } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';

const WAIT_MS = 60_000;

let dataDir: string;
let server: TestServer;
let islet: RunningInstance | undefined;
let api: ControlPlane;

async function start(): Promise<void> {
  islet = await startInstance(dataDir, ['--clickhouse-url', server.url()]);
  api = new ControlPlane(islet.access);
}

beforeAll(async () => {
  dataDir = await newDataDir();
  server = await TestServer.start({ password: 'hunter2' });
  await start();
});
afterAll(async () => {
  await islet?.stop('SIGINT');
  await server?.[Symbol.asyncDispose]();
  await removeDataDir(dataDir);
});

interface Event {
  type: string;
}

const createSandbox = () => {
  const { apiUrl, sandboxUrl, apiKey } = api.access;
  return Sandbox.create({ apiUrl, sandboxUrl, apiKey, timeoutMs: 300_000 });
};
const typesOf = async (id: string) => {
  const { status, body } = await api.call<Event[]>('GET', `/events/sandboxes/${id}?orderAsc=true`);
  return status === 200 ? body.map(({ type }) => type.replace('sandbox.lifecycle.', '')) : [];
};
const linesOf = async (id: string) =>
  (await api.call<{ logs: { message: string }[] }>('GET', `/v2/sandboxes/${id}/logs`)).body.logs ?? [];

/** All that waits on disk. */
async function spooled(): Promise<string> {
  const dir = join(dataDir, 'spool/clickhouse');
  const texts = (await readdir(dir)).map((name) => readFile(join(dir, name), 'utf8').catch(() => ''));
  return (await Promise.all(texts)).join('');
}

it('keeps the past of sandboxes, also that of an outage, over a kill of Islet', async () => {
  const before = await createSandbox();
  await before.commands.run('true');
  const metrics = () => before.getMetrics();
  await until('a sample is kept', WAIT_MS, metrics, (samples) => samples.length > 0);
  await before.kill();

  await server.stop();
  const during = await createSandbox();
  expect((await during.commands.run('echo on')).stdout).toBe('on\n');
  await during.kill();
  const refused = await api.call('GET', `/v2/sandboxes/${during.sandboxId}/logs`);
  expect(refused).toMatchObject({ status: 503, body: { error_code: 'history_unavailable' } });
  expect(refused.headers['retry-after']).toBe('1');
  const isKilled = new RegExp(`lifecycle\\.killed.*${during.sandboxId}`);
  await until('its end is on disk', WAIT_MS, spooled, (text) => isKilled.test(text));

  await islet?.stop('SIGKILL');
  await server.restart();
  await start();
  for (const { sandboxId } of [before, during]) {
    await until(
      'its past is told',
      WAIT_MS,
      () => typesOf(sandboxId),
      (types) => types.includes('killed'),
    );
    expect(await typesOf(sandboxId)).toEqual(['created', 'killed']);
    expect((await linesOf(sandboxId)).some(({ message }) => message.startsWith('process'))).toBe(true);
  }
  const kept = await api.call<object[]>('GET', `/sandboxes/${before.sandboxId}/metrics`);
  expect(kept.body.length).toBeGreaterThan(0);
  expect(islet?.log()).not.toContain('hunter2');
});

it('says so if the server refuses it, without its password', async () => {
  const other = await newDataDir();
  const url = server.url().replace('hunter2', 'hunter3');
  const refused = await runIslet(
    [
      ...['up', '--data-dir', other, '--api-port', '0', '--proxy-port', '0', '--sandbox-proxy-port', '0'],
    ].concat([...['--orchestrator-port', '0', '--template-manager-port', '0']]),
    { env: { ISLET_CLICKHOUSE_URL: url } },
  );
  await removeDataDir(other);
  expect(refused.code).toBe(1);
  expect(refused.stdout + refused.stderr).toContain('ISLET_CLICKHOUSE_URL');
  expect(refused.stdout + refused.stderr).not.toContain('hunter3');
});

it('is migrated by a command, too', async () => {
  const told = await runIslet([
    'db',
    'migrate',
    '--data-dir',
    dataDir,
    '--clickhouse-url',
    server.url('other'),
  ]);
  expect(told.stdout).toMatch(/^Applied what is kept of sandboxes and teams, .+\.$/m);
  const again = await runIslet([
    'db',
    'migrate',
    '--data-dir',
    dataDir,
    '--clickhouse-url',
    server.url('other'),
  ]);
  expect(again.stdout).toContain('The schema in ClickHouse is up to date.');
});
