import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { EVENT_PREFIX, type SandboxLifeEvent } from '@islet/contracts';
import {
  BASE_TIER,
  changeWebhook,
  claimDue,
  createTeam,
  createWebhook,
  type Database,
  deleteWebhook,
  listOwed,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  replayOwed,
  seed,
  type Webhook,
} from '@islet/db';
import { createMemoryDeliveries, type DeliveryStore } from '@islet/sinks';
import { createLogger } from '@islet/telemetry';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  createDestinations,
  createSealing,
  Dispatcher,
  oweToWebhooks,
  type RetrySchedule,
  secretOwner,
  signature,
} from '../src/index.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const sealing = createSealing('a'.repeat(64));
const SECRET = 'secret';
/** As the usual one, in hundredths of its time. */
const RETRIES: RetrySchedule = { firstMs: [20, 20, 20], growsFromMs: 20, longestMs: 40, wholeMs: 300 };
const CLUSTER_ARCHIVE = resolve(import.meta.dirname, '../../../dist/cluster.tar.gz');

interface Delivery {
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  event: { id: string; type: string; sandbox_id: string; events_ttl_days: number };
}

let directory: string;
let db: Database;
let teamId: string;
let deliveries: DeliveryStore;
let got: Delivery[];
let answer: (delivery: Delivery, response: ServerResponse) => void;
const running: Dispatcher[] = [];

const receiver = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  const delivery = { path: request.url ?? '', headers: request.headers, body, event: JSON.parse(body) };
  got.push(delivery);
  answer(delivery, response);
});
const ok = (_: unknown, response: ServerResponse) => void response.writeHead(204).end();
const fail = (_: unknown, response: ServerResponse) => void response.writeHead(500).end('no');
const hang = () => undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'islet-webhooks-'));
  db = await openDatabase({
    ...{ dataDir: join(directory, 'db'), migrationsDir: MIGRATIONS_DIR, clusterArchive: CLUSTER_ARCHIVE },
  });
  await migrate(db);
  await seed(db);
  await new Promise<void>((listening) => receiver.listen(0, '127.0.0.1', listening));
});
afterAll(async () => {
  receiver.closeAllConnections();
  receiver.close();
  await db.close();
  await rm(directory, { recursive: true, force: true });
});

const newTeam = async () => {
  const name = `hooks-${randomUUID().slice(0, 8)}`;
  return (await createTeam(db, { name, email: `${name}@example.org`, tier: BASE_TIER.id })).id;
};
beforeEach(async () => {
  teamId = await newTeam();
  deliveries = createMemoryDeliveries({ attemptsPerWebhook: 1_000, attempts: 1_000 });
  got = [];
  answer = ok;
});
const hooks: Webhook[] = [];
afterEach(async () => {
  receiver.closeAllConnections();
  for (const dispatcher of running.splice(0)) await dispatcher[Symbol.asyncDispose]();
  for (const hook of hooks.splice(0)) await deleteWebhook(db, hook);
});

const newHook = async (over: Partial<Webhook> = {}): Promise<Webhook> => {
  const id = randomUUID();
  const { port } = receiver.address() as AddressInfo;
  const owner = { teamId: over.teamId ?? teamId, id };
  const hook = await createWebhook(db, {
    ...{ ...owner, name: 'ci', url: `http://127.0.0.1:${port}/${id}`, enabled: true },
    events: ['created', 'killed'].map((type) => EVENT_PREFIX + type),
    ...{ sealedSecret: sealing.seal(SECRET, secretOwner(owner)), activeSince: new Date(0), ...over },
  });
  hooks.push(hook);
  return hook;
};

function start(): Dispatcher {
  const dispatcher = new Dispatcher({
    ...{ db, deliveries, sealing, retries: RETRIES, version: '1.2.3', now: Date.now, logger },
    destinations: createDestinations(['127.0.0.0/8']),
  });
  running.push(dispatcher);
  dispatcher.start();
  return dispatcher;
}

let count = 0;
const event = (over: Partial<SandboxLifeEvent> = {}): SandboxLifeEvent => ({
  ...{ id: randomUUID(), type: 'created', timeMs: 1_800_000_000_000 + ++count, sandboxId: 'ia', teamId },
  ...{ executionId: 'e', templateId: 'base', buildId: 'b', metadata: { a: 'ä' }, ...over },
});
const tell = (...events: SandboxLifeEvent[]) => oweToWebhooks(db, events, Date.now());
const owed = async (hook: Webhook) => {
  const rows = await listOwed(db, { webhookId: hook.id, limit: 1_000 });
  return rows.map(({ state, attempts }) => `${state} ${attempts}`).toReversed();
};
const ids = () => got.map(({ event: { id } }) => id);

it('delivers an event signed, once, and keeps the record of it', async () => {
  const hook = await newHook();
  const told = event();
  await tell(told);
  await tell(told);
  start();
  await expect.poll(() => owed(hook)).toEqual(['delivered 1']);
  const [group] = await deliveries.groups({ teamId, webhookId: hook.id, order: 'descending', limit: 10 });
  expect(got).toHaveLength(1);
  const [delivery] = got;
  if (!delivery || !group) throw new Error('nothing was delivered');
  expect(delivery.headers).toMatchObject({
    'content-type': 'application/json',
    'user-agent': 'islet-webhooks/1.2.3',
    'e2b-webhook-id': hook.id,
    'e2b-delivery-id': group.attempts[0]?.id,
    'e2b-signature-version': 'v1',
    'e2b-signature': signature(SECRET, delivery.body),
    'islet-signature': expect.stringMatching(/^t=\d+,v1=[0-9a-f]{64}$/),
  });
  expect(Object.keys(delivery.event)).toEqual([
    ...['id', 'version', 'type', 'timestamp', 'event_category', 'event_label', 'event_data', 'sandbox_id'],
    ...[
      'sandbox_execution_id',
      'sandbox_template_id',
      'sandbox_build_id',
      'sandbox_team_id',
      'events_ttl_days',
    ],
  ]);
  expect(delivery.event).toMatchObject({
    id: told.id,
    type: 'sandbox.lifecycle.created',
    events_ttl_days: 7,
  });
  expect(group.attempts).toMatchObject([
    {
      status: 'success',
      errorClass: null,
      request: { url: hook.url, body: delivery.body },
      response: { status: 204 },
    },
  ]);
  expect(JSON.stringify(group)).not.toContain(signature(SECRET, delivery.body));
  expect(JSON.stringify(group)).not.toContain(SECRET);
});

it('sends to those that listen, of the same team, enabled, from when on they do', async () => {
  const mine = await newHook();
  await newHook({ teamId: await newTeam() });
  await newHook({ events: [`${EVENT_PREFIX}paused`] });
  await newHook({ enabled: false });
  await newHook({ activeSince: new Date(1_900_000_000_000) });
  await tell(event());
  start();
  await expect.poll(() => owed(mine)).toEqual(['delivered 1']);
  expect(got.map(({ path }) => path)).toEqual([`/${mine.id}`]);
});

it('tries again with the same bytes under new ids until it is given up, and again when it is asked to', async () => {
  answer = fail;
  const hook = await newHook();
  await tell(event());
  const dispatcher = start();
  await expect.poll(async () => (await owed(hook))[0]).toMatch(/^dead /);
  const [row] = await listOwed(db, { webhookId: hook.id, limit: 1 });
  expect(row?.attempts).toBe(got.length);
  expect(got.length).toBeGreaterThanOrEqual(4);
  expect(row?.lastError).toBe('http_error: answered 500');
  expect(new Set(got.map(({ body }) => body)).size).toBe(1);
  expect(new Set(got.map(({ headers }) => headers['e2b-delivery-id'])).size).toBe(got.length);
  const [group] = await deliveries.groups({ teamId, webhookId: hook.id, order: 'descending', limit: 10 });
  expect(group?.attempts).toHaveLength(got.length);
  answer = ok;
  expect(await replayOwed(db, { webhookId: hook.id, at: new Date() })).toBe(1);
  dispatcher.wake();
  await expect.poll(() => owed(hook)).toEqual(['delivered 1']);
});

it('keeps a sandbox’s events in their order, whatever fails, and others go on', async () => {
  const hook = await newHook();
  const events = Array.from({ length: 6 }, () => event());
  const other = event({ sandboxId: 'ib' });
  answer = ({ event: { sandbox_id } }, response) =>
    sandbox_id === 'ib' || got.length % 3 === 0 ? ok(undefined, response) : fail(undefined, response);
  await tell(...events, other);
  start();
  await expect
    .poll(() => owed(hook))
    .toEqual(Array.from({ length: 7 }, () => expect.stringMatching(/^delivered/)));
  const order = ids().filter((id) => id !== other.id);
  expect([...new Set(order)]).toEqual(events.map(({ id }) => id));
  // None came back once the next had begun.
  expect(order).toEqual(
    order.toSorted((a, b) => events.findIndex(({ id }) => id === a) - events.findIndex(({ id }) => id === b)),
  );
});

it('lets a team whose receiver is dead keep no other waiting', async () => {
  const dead = await newHook();
  const other = await newHook({ teamId: await newTeam() });
  answer = ({ path }, response) => (path === `/${dead.id}` ? hang() : ok(undefined, response));
  await tell(...Array.from({ length: 50 }, (_, index) => event({ sandboxId: `i${index}` })));
  start();
  await expect.poll(() => got.length).toBe(8);
  const events = Array.from({ length: 5 }, () => event({ teamId: other.teamId }));
  await tell(...events);
  await expect.poll(() => owed(other)).toEqual(events.map(() => 'delivered 1'));
  expect((await owed(dead)).filter((state) => state !== 'pending 0')).toEqual([]);
});

it('delivers what was owed when it died, and what it had begun once that lease is over', async () => {
  const hook = await newHook();
  const [begun, waiting] = [event(), event({ sandboxId: 'ib' })];
  await tell(begun);
  // As a killed process leaves it; in an embedded database the next start is the only one.
  const lease = { now: new Date(), leaseMs: 600_000, lease: randomUUID(), perTeam: 8, most: 10 };
  expect(await claimDue(db, lease)).toHaveLength(1);
  await tell(waiting);
  start();
  await expect.poll(() => owed(hook)).toEqual(['delivered 1', 'delivered 1']);
  expect(ids().sort()).toEqual([begun.id, waiting.id].sort());
});

it('gives back what it had begun when it stops', async () => {
  answer = hang;
  const hook = await newHook();
  await tell(event());
  await using first = start();
  await expect.poll(() => got.length).toBe(1);
  await first[Symbol.asyncDispose]();
  expect(await owed(hook)).toEqual(['pending 0']);
  answer = ok;
  start();
  await expect.poll(() => owed(hook)).toEqual(['delivered 1']);
});

it('of several each event is delivered by one', async () => {
  const hook = await newHook();
  const events = Array.from({ length: 40 }, (_, index) => event({ sandboxId: `i${index % 10}` }));
  start();
  start();
  await Promise.all([tell(...events), tell(...events)]);
  await expect.poll(async () => new Set(await owed(hook))).toEqual(new Set(['delivered 1']));
  expect(ids().sort()).toEqual(events.map(({ id }) => id).sort());
});

it('ends what is under way to a webhook that is deleted or disabled', async () => {
  answer = hang;
  const [deleted, disabled] = [await newHook(), await newHook()];
  const dispatcher = start();
  await tell(event());
  await expect.poll(() => got.length).toBe(2);
  await deleteWebhook(db, deleted);
  dispatcher.cancel(deleted.id);
  await changeWebhook(db, disabled, { enabled: false });
  dispatcher.cancel(disabled.id);
  await expect.poll(() => owed(disabled)).toEqual(['dead 0']);
  const query = { teamId, order: 'descending', limit: 10 } as const;
  for (const { id: webhookId } of [deleted, disabled]) {
    const [group] = await deliveries.groups({ ...query, webhookId });
    expect(group?.attempts.map(({ errorClass }) => errorClass)).toEqual(['canceled']);
  }
  expect(await owed(deleted)).toEqual([]);
});

it('takes a new address and a new secret for the next attempt, and says if a secret cannot be read', async () => {
  const hook = await newHook({ sealedSecret: createSealing('b'.repeat(64)).seal(SECRET, 'x') });
  await tell(event());
  start();
  await expect
    .poll(async () => (await listOwed(db, { webhookId: hook.id, limit: 1 }))[0]?.lastError)
    .toMatch(/^signature_error/);
  expect(got).toEqual([]);
  const sealedSecret = sealing.seal('another', secretOwner(hook));
  await changeWebhook(db, hook, { url: `${hook.url}/new`, sealedSecret });
  await expect.poll(() => owed(hook)).toEqual([expect.stringMatching(/^(delivered|dead)/)]);
  if (got.length === 0) await replayOwed(db, { webhookId: hook.id, at: new Date() });
  await expect.poll(() => got.length).toBe(1);
  const [delivery] = got;
  expect(delivery?.path).toBe(`/${hook.id}/new`);
  expect(delivery?.headers['e2b-signature']).toBe(signature('another', delivery?.body ?? ''));
});

it('delivers also if no record can be kept', async () => {
  deliveries = { ...deliveries, write: () => Promise.reject(new Error('full')) };
  const hook = await newHook();
  await tell(event());
  start();
  await expect.poll(() => owed(hook)).toEqual(['delivered 1']);
});
