import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import { Deadline, outboxProto, type SandboxLog } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { History, type LogStore, Outbox, OutboxReader, outboxService, type Stores } from '../src/index.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const newOutbox = (over: { characters?: number; lingerMs?: number } = {}) =>
  new Outbox({ characters: 1_000_000, lingerMs: 1, logger, ...over });

/** A node's server, which may go and come back, as another process, at the same address. */
let server: Server;
let port = 0;
let readers: OutboxReader[];

async function serve(outbox: Outbox): Promise<void> {
  server = createServer(
    connectNodeAdapter({ routes: ({ service }) => service(outboxProto.Outbox, outboxService(outbox)) }),
  );
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
}

async function stopServing(): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

let dirs: string[];
let histories: History[];

/** Stores that nothing is in. */
function newStores(): Stores {
  const dir = mkdtempSync(join(tmpdir(), 'islet-reader-'));
  const history = new History({ dir, bytes: 100_000_000, now: Date.now, logger });
  dirs.push(dir);
  histories.push(history);
  return history.stores;
}

const log = (message: string, over: Partial<SandboxLog> = {}): SandboxLog => ({
  ...{ sandboxId: 'ia', teamId: 't1', timeMs: 5, level: 'info', logger: 'process', message, fields: {} },
  ...over,
});
const said = async (logs: LogStore) =>
  (await logs.query({ teamId: 't1', sandboxId: 'ia', limit: 10_000, direction: 'forward' })).map(
    ({ message }) => message,
  );

function follow(stores: Stores, warn: (facts: object) => void = () => undefined): OutboxReader {
  const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: '1.1' });
  const reader = new OutboxReader({
    client: createClient(outboxProto.Outbox, transport),
    stores,
    logger: Object.assign(Object.create(logger), { warn }),
  });
  readers.push(reader);
  return reader;
}

/** Asks again if the question went down with a connection to the process that was there before. */
async function caughtUp(reader: OutboxReader): Promise<void> {
  using deadline = new Deadline(60_000);
  while (!deadline.passed) {
    const outcome = await reader.caughtUp(deadline.signal).then(
      () => true,
      () => false,
    );
    if (outcome) return;
  }
  throw new Error('the reader has not caught up');
}

beforeEach(() => {
  readers = [];
  dirs = [];
  histories = [];
  port = 0;
});
afterEach(async () => {
  await Promise.all(readers.map((reader) => reader[Symbol.asyncDispose]()));
  await stopServing();
  for (const history of histories) history[Symbol.dispose]();
  for (const dir of dirs) rmSync(dir, { recursive: true });
});

it('goes on where it stopped when the connection breaks off, and keeps nothing twice', async () => {
  const outbox = newOutbox();
  await serve(outbox);
  const stores = newStores();
  const written: string[] = [];
  const logs: LogStore = {
    ...stores.logs,
    write: async (batch) => {
      written.push(...batch.map(({ message }) => message));
      await stores.logs.write(batch);
    },
  };
  const reader = follow({ ...stores, logs });
  outbox.logs.record(log('before'));
  await caughtUp(reader);
  await stopServing();
  outbox.logs.record(log('meanwhile'));
  await serve(outbox);
  outbox.logs.record(log('after'));
  await caughtUp(reader);
  expect(written).toEqual(['before', 'meanwhile', 'after']);
});

it('reads all of another process that has taken the node’s place', async () => {
  const first = newOutbox();
  await serve(first);
  const stores = newStores();
  const reader = follow(stores);
  for (const message of ['1', '2', '3']) first.logs.record(log(message));
  await caughtUp(reader);
  await stopServing();
  const second = newOutbox();
  second.logs.record(log('4'));
  await serve(second);
  await caughtUp(reader);
  expect(await said(stores.logs)).toEqual(['1', '2', '3', '4']);
});

it('has after a restart of its own what the node still keeps, as each reader does', async () => {
  const outbox = newOutbox();
  await serve(outbox);
  outbox.logs.record(log('1'));
  const [first, second] = [newStores(), newStores()];
  await caughtUp(follow(first));
  outbox.logs.record(log('2'));
  const later = follow(second);
  await caughtUp(later);
  expect(await said(second.logs)).toEqual(['1', '2']);
  await expect.poll(() => said(first.logs)).toEqual(['1', '2']);
});

it('tells of what it has missed, and a first reader of nothing that was before', async () => {
  const outbox = newOutbox({ characters: 10_000 });
  const many = (from: number) => {
    for (let index = from; index < from + 100; index++) outbox.logs.record(log(`${index}`));
  };
  many(0);
  await serve(outbox);
  const warnings: { lost?: number }[] = [];
  const stores = newStores();
  const reader = follow(stores, (facts) => warnings.push(facts));
  await caughtUp(reader);
  expect(warnings).toEqual([]);
  const before = await said(stores.logs);
  expect(before.at(-1)).toBe('99');
  await stopServing();
  many(100);
  await serve(outbox);
  await caughtUp(reader);
  const [...kept] = await said(stores.logs);
  const missed = 200 - 100 - (kept.length - before.length);
  expect(missed).toBeGreaterThan(10);
  expect(warnings.filter(({ lost }) => lost)).toEqual([{ lost: missed, invalid: 0 }]);
});

it('asks again for a batch that could not be stored', async () => {
  const outbox = newOutbox();
  await serve(outbox);
  const stores = newStores();
  let failures = 2;
  const logs: LogStore = {
    ...stores.logs,
    write: async (batch) => {
      if (failures-- > 0) throw new Error('the disk is full');
      await stores.logs.write(batch);
    },
  };
  const reader = follow({ ...stores, logs });
  outbox.logs.record(log('1'));
  await caughtUp(reader);
  expect(failures).toBeLessThan(0);
  expect(await said(stores.logs)).toEqual(['1']);
});

it('lets who asks for all have it at once, however long notes linger', async () => {
  const outbox = newOutbox({ lingerMs: 3_600_000 });
  await serve(outbox);
  const stores = newStores();
  outbox.logs.record(log('0'));
  const reader = follow(stores);
  // It has read what was there, and waits.
  await expect.poll(() => said(stores.logs)).toEqual(['0']);
  for (const message of ['1', '2']) outbox.logs.record(log(message));
  await caughtUp(reader);
  expect(await said(stores.logs)).toEqual(['0', '1', '2']);
});

it('hands over in batches, not note by note', async () => {
  const outbox = newOutbox({ lingerMs: 50 });
  await serve(outbox);
  const stores = newStores();
  const sizes: number[] = [];
  const logs: LogStore = {
    ...stores.logs,
    write: async (batch) => {
      if (batch.length > 0) sizes.push(batch.length);
      await stores.logs.write(batch);
    },
  };
  const reader = follow({ ...stores, logs });
  await caughtUp(reader);
  for (let index = 0; index < 1_200; index++) outbox.logs.record(log(`${index}`));
  await caughtUp(reader);
  expect(sizes).toEqual([500, 500, 200]);
});

it('takes nothing from a node that names no one, no moment or no known kind', async () => {
  const value = { ...log('good'), fields: { pid: '7' } };
  const notes = [
    { note: { case: 'log' as const, value } },
    { note: { case: 'log' as const, value: { ...value, sandboxId: '' } } },
    { note: { case: 'log' as const, value: { ...value, teamId: '' } } },
    { note: { case: 'log' as const, value: { ...value, timeMs: Number.NaN } } },
    { note: { case: 'log' as const, value: { ...value, timeMs: 9e15 } } },
    { note: { case: 'log' as const, value: { ...value, level: 'loud' } } },
    { note: { case: 'sample' as const, value: { sandboxId: 'ia', teamId: 't1', memUsed: Number.NaN } } },
    { note: { case: 'event' as const, value: { sandboxId: 'ia', teamId: 't1', type: 'unheard', id: 'x' } } },
    { note: { case: 'buildLog' as const, value: { buildId: 'b', teamId: 't1', level: 'info', index: -1 } } },
    { note: { case: 'buildLog' as const, value: { buildId: '', teamId: 't1', level: 'info', index: 0 } } },
    { note: { case: 'verdict' as const, value: { sandboxId: 'ia', teamId: 't1', protocol: 'icmp' } } },
    { note: { case: undefined } },
  ];
  const position = { epoch: 'e', sequence: 9 };
  const transport = createRouterTransport(({ service }) =>
    service(outboxProto.Outbox, {
      async *readNotes() {
        yield { position, notes, lost: 0 };
      },
      getEnd: () => ({ position }),
    }),
  );
  await serve(newOutbox());
  const stores = newStores();
  const warnings: object[] = [];
  const warn = (facts: object) => warnings.push(facts);
  const reader = new OutboxReader({
    client: createClient(outboxProto.Outbox, transport),
    stores,
    logger: Object.assign(Object.create(logger), { warn }),
  });
  readers.push(reader);
  await caughtUp(reader);
  const read = await stores.logs.query({ teamId: 't1', sandboxId: 'ia', limit: 10, direction: 'forward' });
  expect(read.map(({ message, fields }) => ({ message, fields }))).toEqual([
    { message: 'good', fields: { pid: '7', logger: 'process' } },
  ]);
  expect(warnings).toContainEqual({ lost: 0, invalid: 11 });
});
