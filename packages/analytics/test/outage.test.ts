import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IsletError, type SandboxLifeEvent } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type ClickHouseStores,
  migrateClickHouse,
  openClickHouse,
  parseServerAddress,
} from '../src/index.ts';
import { TestServer } from './server/server.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

let server: TestServer;
let dir: string;
beforeAll(async () => {
  server = await TestServer.start({ password: 'pass/word' });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-analytics-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Each test has a database of its own. */
let databases = 0;
const nextUrl = () => server.url(`test_${++databases}`);
const open = (url: string, maxBytes = 50_000_000): Promise<ClickHouseStores> =>
  openClickHouse({ server: parseServerAddress(url), spool: { dir, maxBytes }, clock: Date.now, logger });

const event = (index: number): SandboxLifeEvent => ({
  ...{ id: `018bcfe5-6800-7000-8000-${index.toString(16).padStart(12, '0')}`, type: 'updated' },
  ...{ timeMs: Date.now(), sandboxId: 'ia', teamId: 't1', executionId: `${index}` },
  ...{ templateId: 'base', buildId: 'b', metadata: {} },
});
const events = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => event(from + index));
const read = async ({ events: source }: Pick<ClickHouseStores, 'events'>) =>
  (await source.query({ teamId: 't1', offset: 0, limit: 10_000, order: 'ascending' })).map(
    ({ executionId }) => Number(executionId),
  );
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

it('puts on disk what the server does not take, says 503 meanwhile, and brings it when the server is back', async () => {
  await using kept = await open(nextUrl());
  await kept.events.write(events(0, 3));
  await server.stop();
  await kept.events.write(events(3, 6));
  expect(kept.isThere).toBe(false);
  expect(kept.waiting).toBeGreaterThan(0);
  const refused = await read(kept).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(IsletError);
  expect(refused).toMatchObject({ status: 503, errorCode: 'history_unavailable' });
  await server.restart();
  await expect.poll(() => kept.waiting).toBe(0);
  await kept.events.write(events(6, 8));
  expect(await read(kept)).toEqual(upTo(8));
  expect(kept.dropped).toBe(0);
});

it('starts while the server is away, and brings what an earlier process had put on disk', async () => {
  const url = nextUrl();
  await server.stop();
  {
    await using earlier = await open(url);
    await earlier.events.write(events(0, 3));
  }
  await using kept = await open(url);
  await kept.events.write(events(3, 5));
  await server.restart();
  await expect.poll(() => kept.waiting).toBe(0);
  expect(await read(kept)).toEqual(upTo(5));
});

it('gives up a server that hangs, and writes nothing twice that it had applied', async () => {
  await using kept = await open(nextUrl());
  await kept.events.write(events(0, 2));
  const swallowed = server.swallowAnswer();
  const written = kept.events.write(events(2, 5));
  await swallowed;
  await written;
  expect(kept.waiting).toBeGreaterThan(0);
  await expect.poll(() => kept.waiting).toBe(0);
  expect(await read(kept)).toEqual(upTo(5));
});

it('stands still with a server that stands still, and no longer', async () => {
  await using kept = await open(nextUrl());
  await kept.events.write(events(0, 2));
  server.freeze();
  try {
    await kept.events.write(events(2, 4));
    expect(await read(kept).catch(({ status }: IsletError) => status)).toBe(503);
  } finally {
    server.thaw();
  }
  await expect.poll(() => kept.waiting).toBe(0);
  expect(await read(kept)).toEqual(upTo(4));
});

describe('a process that is killed between an insert and its answer', () => {
  const url = (path: string) => JSON.stringify(join(import.meta.dirname, path));

  /** Writes the events of a JSON list, as it would be given them again by the outbox of a node. */
  const program = (address: string, told: SandboxLifeEvent[]) => `
    import { openClickHouse, parseServerAddress } from ${url('../src/index.ts')};
    import { createLogger } from ${url('../../telemetry/src/index.ts')};
    const kept = await openClickHouse({
      server: parseServerAddress(${JSON.stringify(address)}),
      spool: { dir: ${JSON.stringify(dir)}, maxBytes: 1e7 },
      clock: Date.now,
      logger: createLogger({ service: 'test', level: 'silent' }),
    });
    await kept.events.write(${JSON.stringify(told)});
    await kept[Symbol.asyncDispose]();`;
  const run = (text: string): ChildProcess =>
    spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', text], { stdio: 'inherit' });

  it('leaves nothing twice and nothing out, whatever batches its successor makes', async () => {
    const address = nextUrl();
    await migrateClickHouse(parseServerAddress(address));
    const told = events(0, 20);
    const swallowed = server.swallowAnswer();
    const killed = run(program(address, told.slice(0, 15)));
    await swallowed;
    const ended = once(killed, 'exit');
    killed.kill('SIGKILL');
    await ended;
    const [count] = await server.query<{ rows: string }>(
      `SELECT count() AS rows FROM test_${databases}.sandbox_events`,
    );
    expect(Number(count?.rows)).toBe(15);
    const [code] = await once(run(program(address, told)), 'exit');
    expect(code).toBe(0);
    await using kept = await open(address);
    expect(await read(kept)).toEqual(upTo(20));
  });
});

it('keeps once what two control planes write, in the order in which it came first', async () => {
  const url = nextUrl();
  await using one = await open(url);
  await using other = await openClickHouse({
    server: parseServerAddress(url),
    ...{ spool: { dir: join(dir, 'other'), maxBytes: 1_000_000 }, clock: Date.now, logger },
  });
  const timeMs = Date.now();
  const lines = upTo(50).map((index) => ({
    ...{ teamId: 't1', sandboxId: 'ia', timeMs, level: 'info' as const, logger: 'process' },
    ...{ message: `${index}`, fields: {} },
  }));
  await one.logs.write(lines.slice(0, 30));
  await Promise.all([one.logs.write(lines.slice(30)), other.logs.write(lines)]);
  await Promise.all([other.events.write(events(0, 9)), one.events.write(events(0, 9))]);
  const asked = { teamId: 't1', sandboxId: 'ia', limit: 100 };
  const read50 = async (direction: 'forward' | 'backward') =>
    (await other.logs.query({ ...asked, direction })).map(({ message }) => Number(message));
  expect(await read50('forward')).toEqual(upTo(50));
  expect(await read50('backward')).toEqual(upTo(50).toReversed());
  expect(await read(one)).toEqual(upTo(9));
});

/** How many inserts a table has had. */
async function inserts(table: string): Promise<number> {
  const [counted] = await server.query<{ parts: string }>(
    `SELECT count() AS parts FROM system.parts
      WHERE database = 'test_${databases}' AND table = '${table}' AND min_block_number = max_block_number`,
  );
  return Number(counted?.parts);
}

it('sends together what comes together, and no more at once than it may hold', async () => {
  await using kept = await open(nextUrl());
  await Promise.all(events(0, 50).map((each) => kept.events.write([each])));
  expect(await inserts('sandbox_events')).toBe(1);
  const metadata = { large: 'x'.repeat(1_000_000) };
  await Promise.all(events(50, 66).map((each) => kept.events.write([{ ...each, metadata }])));
  expect(await inserts('sandbox_events')).toBeGreaterThanOrEqual(5);
  expect(await read(kept)).toHaveLength(66);
});

it('drops what the server can never read, and nothing beside it', async () => {
  await using kept = await open(nextUrl());
  const wrong = { ...event(2), ttlDays: 'some' as unknown as number };
  await kept.events.write([event(0), event(1), wrong, event(3)]);
  expect(await read(kept)).toEqual([0, 1, 3]);
  expect(kept.dropped).toBe(1);
});

it('keeps a text with half a pair of surrogates', async () => {
  await using kept = await open(nextUrl());
  await kept.logs.write([
    {
      ...{ teamId: 't1', sandboxId: 'ia', timeMs: Date.now(), level: 'info', logger: 'process' },
      ...{ message: 'half \ud800 of', fields: { a: '\udfff' } },
    },
  ]);
  const found = await kept.logs.query({ teamId: 't1', sandboxId: 'ia', limit: 1, direction: 'forward' });
  expect(found).toMatchObject([{ message: 'half \ufffd of' }]);
  expect(kept.dropped).toBe(0);
});

it('migrates once, also if several begin at once, and makes the database', async () => {
  const address = parseServerAddress(nextUrl());
  const told = await Promise.all([1, 2, 3].map(() => migrateClickHouse(address)));
  expect(told.flat().length).toBeGreaterThan(0);
  expect(await migrateClickHouse(address)).toEqual([]);
  const [counted] = await server.query<{ versions: string; rows: string }>(
    `SELECT uniqExact(version) AS versions, count() AS rows FROM test_${databases}.islet_migrations FINAL`,
  );
  expect(counted?.rows).toBe(counted?.versions);
});

it('expires what is old, each row in its time', async () => {
  await using kept = await open(nextUrl());
  const [dayMs, nowMs] = [86_400_000, Date.now()];
  await kept.events.write([
    { ...event(0), timeMs: nowMs - 8 * dayMs },
    { ...event(1), timeMs: nowMs - 6 * dayMs },
    { ...event(2), timeMs: nowMs - 8 * dayMs, ttlDays: 30 },
  ]);
  // By its ingest: the clock of its sandbox may be wrong.
  const log = { ...{ teamId: 't1', sandboxId: 'ia', level: 'info' as const, logger: 'process', fields: {} } };
  await kept.logs.write([{ ...log, timeMs: 5, message: 'of 1970' }]);
  for (const table of ['sandbox_events', 'sandbox_logs']) {
    await server.query(`OPTIMIZE TABLE test_${databases}.${table} FINAL`);
  }
  expect(await read(kept)).toEqual([2, 1]);
  const found = await kept.logs.query({ teamId: 't1', sandboxId: 'ia', limit: 9, direction: 'forward' });
  expect(found).toMatchObject([{ timeMs: 5, message: 'of 1970' }]);
});

it('takes over what the exporter of an OpenTelemetry collector writes', async () => {
  await using kept = await open(nextUrl());
  const at = Math.floor(Date.now() / 5_000) * 5;
  const point = (name: string, value: number) =>
    `(toDateTime64(${at}, 9), '${name}', map('sandbox_id', 'ia', 'team_id', 't1'), ${value})`;
  await server.query(`INSERT INTO test_${databases}.metrics_gauge (TimeUnix, MetricName, Attributes, Value) VALUES
    ${point('e2b.sandbox.cpu.used', 7)}, ${point('e2b.sandbox.ram.used', 9)}, ${point('e2b.team.sandbox.running', 4)},
    ${point('other', 1)}`);
  const [latest] = await kept.samples.latest('t1', ['ia']);
  expect(latest).toMatchObject({ timeMs: at * 1_000, cpuUsedPct: 7, memUsed: 9 });
  const range = { startMs: at * 1_000, endMs: at * 1_000 };
  expect(await kept.teams.range('t1', range)).toMatchObject([{ running: 4, created: 0 }]);
});

describe('a server that lies', () => {
  const lying = async (listener: RequestListener) => {
    const liar = createServer(listener);
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
    const { port } = liar.address() as AddressInfo;
    const kept = await open(`http://user:secret@127.0.0.1:${port}/islet`);
    return {
      kept,
      async [Symbol.asyncDispose]() {
        await kept[Symbol.asyncDispose]();
        liar.closeAllConnections();
        await new Promise((resolve) => liar.close(resolve));
      },
    };
  };

  it.each<[string, RequestListener]>([
    ['no JSON', (_, response) => response.end('<html>\n')],
    ['rows of another shape', (_, response) => response.end('{"version":"one","id":7}\n')],
    [
      'more than is read of an answer',
      (_, response) => {
        const more = () => {
          while (response.writable && response.write('x'.repeat(1_000_000)));
        };
        response.on('drain', more);
        more();
      },
    ],
  ])('is not there if it answers %s', async (_, listener) => {
    await using liar = await lying((request, response) => {
      request.resume();
      request.on('end', () => listener(request, response));
    });
    expect(liar.kept.isThere).toBe(false);
    await liar.kept.events.write(events(0, 1));
    expect(liar.kept.waiting).toBeGreaterThan(0);
    await expect(read(liar.kept)).rejects.toMatchObject({ status: 503 });
  });
});

it('refuses to start with credentials that the server refuses, and does not repeat them', async () => {
  const address = parseServerAddress(
    nextUrl().replace('pass%2Fword', 'other-secret').replace('pass/word', 'other-secret'),
  );
  const refused = await openClickHouse({
    server: address,
    ...{ spool: { dir, maxBytes: 1_000 }, clock: Date.now, logger },
  }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ name: 'ServerException', code: 516 });
  expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain('other-secret');
});
