import { createMemoryPending, createMemoryRates, type Routes } from '@islet/catalog';
import {
  hearingsContract,
  marksContract,
  noticesContract,
  pendingContract,
  ratesContract,
  reservationsContract,
  routesContract,
  testRoute,
} from '@islet/catalog/contract';
import { IsletError } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisConnection } from '../src/connection.ts';
import { Epoch } from '../src/epoch/epoch.ts';
import { createRedisHearings } from '../src/hearings/redis-hearings.ts';
import { createRedisNotices } from '../src/notices/redis-notices.ts';
import { createRedisPending } from '../src/pending/redis-pending.ts';
import { createRedisRates } from '../src/rates/redis-rates.ts';
import { createRedisReservations } from '../src/reservations/redis-reservations.ts';
import { createRedisRoutes } from '../src/routes/redis-routes.ts';
import { TestServer } from './server.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

/** Counts the connections of the suites, each of which has keys of its own. */
let opened = 0;

describe.each(['redis-server', 'valkey-server'])('%s', (program) => {
  let server: TestServer;
  const closing: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    server = await TestServer.start(program);
  });
  afterAll(async () => {
    await Promise.all(closing.map((close) => close()));
    await server[Symbol.asyncDispose]();
  });

  /** Of one control plane, which knows all that it was told; each has keys of its own if it is not said which. */
  const open = async ({ prefix = `test-${++opened}`, rewrite = async () => {}, graceMs = 0 } = {}) => {
    let epoch: Epoch | undefined;
    const options = { url: server.url, prefix, onError: () => undefined, onBack: () => epoch?.back() };
    const redis = await RedisConnection.open(options);
    epoch = new Epoch({ redis, graceMs, logger });
    const kept = epoch.keep(rewrite);
    closing.push(async () => {
      await kept[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    });
    if (graceMs === 0) await kept.first;
    return { prefix, redis, epoch, first: kept.first };
  };
  /** One for all that the contracts ask for, each time without what was there before. */
  let shared: Promise<Awaited<ReturnType<typeof open>>> | undefined;
  const emptied = async () => {
    shared ??= open();
    const { redis, epoch } = await shared;
    const keys = await redis.ask((commands) => commands.keys(redis.key('*')));
    const others = keys.filter((key) => key !== epoch.key);
    if (others.length > 0) await redis.ask((commands) => commands.del(others));
    return { redis, epoch };
  };
  const openRoutes = async () => {
    const { redis, epoch } = await emptied();
    return createRedisRoutes(redis, epoch);
  };
  const openPlaces = async (monotonic?: () => number) => {
    const { redis, epoch } = await emptied();
    return createRedisReservations(redis, epoch, monotonic);
  };
  const flush = (redis: RedisConnection) => redis.ask((commands) => commands.flushAll());
  const of = (sandboxId: string) => ({ teamId: 't', sandboxId });
  const refusal = async (asked: Promise<unknown>) => {
    const error = await asked.catch((refused: unknown) => refused);
    expect(error).toBeInstanceOf(IsletError);
    expect(error).toMatchObject({ status: 503, errorCode: 'live_store_unavailable' });
  };

  routesContract(program, openRoutes);
  marksContract(program, openRoutes);
  reservationsContract(program, openPlaces);
  const openNotices = async (prefix: string) => {
    const notices = createRedisNotices((await open({ prefix })).redis);
    closing.push(async () => notices[Symbol.asyncDispose]());
    return notices;
  };
  noticesContract(program, async () => {
    const prefix = `notices-${++opened}`;
    return [await openNotices(prefix), await openNotices(prefix)];
  });
  hearingsContract(program, async (now) => createRedisHearings((await emptied()).redis, now));
  pendingContract(program, async (monotonic) =>
    createRedisPending((await emptied()).redis, createMemoryPending(monotonic), monotonic),
  );
  ratesContract(program, async (monotonic) => {
    const { redis } = await emptied();
    return createRedisRates(redis, createMemoryRates(monotonic), monotonic);
  });

  it('is refused at the start if nobody answers', async () => {
    const options = { url: `${server.url}-not-there`, prefix: 'test', onError: () => undefined };
    await expect(RedisConnection.open(options)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('frees what a node held that nobody has told of for a day', async () => {
    let now = 1_000;
    const places = await openPlaces(() => now);
    await places.hold({ ...of('a'), nodeId: 'gone' });
    now += 43_200_000;
    await places.hold({ ...of('b'), nodeId: 'there' });
    expect(await places.take(of('c'), 2)).toBe('full');
    now += 43_200_000;
    expect(await places.take(of('c'), 2)).toBe('taken');
    expect(await places.take(of('d'), 2)).toBe('full');
  });

  it('says 503 while the server is away, breaks watches off, and comes back by itself, written anew', async () => {
    const known = testRoute('known');
    let routes: Routes | undefined;
    const { redis, epoch } = await open({
      rewrite: async () => {
        await routes?.put(known);
      },
    });
    routes = createRedisRoutes(redis, epoch);
    const places = createRedisReservations(redis, epoch);
    await routes.put(known);
    await routes.put(testRoute('lost'));
    expect(await places.take(of('starting'), 2)).toBe('taken');
    expect(await places.take(of('failed'), 2)).toBe('taken');
    await places.giveBack(of('failed'));
    const losses: unknown[] = [];
    await routes.watch({ changed: () => undefined, lost: (error) => losses.push(error) });
    await server.stop();
    await refusal(routes.get('known'));
    await refusal(places.take(of('a'), 2));
    await expect.poll(() => losses).toHaveLength(1);
    await server.restart();
    await expect.poll(() => places.take(of('a'), 2).catch(() => undefined)).toBe('taken');
    // What was being started still counts.
    expect(await places.take(of('b'), 2)).toBe('full');
    expect(await routes.get('known')).toEqual(known);
    expect(await routes.get('lost')).toBeUndefined();
  });

  it('counts for all control planes together, and for each alone while the server is away', async () => {
    const asks = [{ who: 't', rate: { requests: 10, periodMs: 3_600_000, burst: 10 } }];
    const both = await Promise.all([1, 2].map(() => open({ prefix: 'rates-of-two' })));
    const [one, two] = both.map(({ redis }) =>
      createRedisRates(
        redis,
        createMemoryRates(() => performance.now()),
      ),
    );
    const admitted = async (count: number) => {
      const asked = Array.from({ length: count }, (_, index) => (index % 2 ? one : two)?.take(asks));
      return (await Promise.all(asked)).filter((outcomes) => outcomes?.[0]?.isAdmitted).length;
    };
    expect(await admitted(100)).toBe(10);
    await server.stop();
    expect(await admitted(100)).toBe(20);
    await server.restart();
    await expect.poll(() => admitted(2)).toBeLessThan(2);
  });

  it('hears notices again when the server is back, and counts those as told that may have been missed', async () => {
    const notices = await openNotices('notices-lost');
    let heard = 0;
    notices.watch('members', () => heard++);
    await expect.poll(() => heard).toBeGreaterThan(0);
    await server.stop();
    const before = heard;
    // Of its own it knows all the same.
    await notices.tell('members');
    expect(heard).toBe(before + 1);
    await server.restart();
    await expect.poll(() => heard).toBeGreaterThan(before + 1);
  });

  it('gives out no place, and tells of no route as gone, before what was lost is written anew', async () => {
    let write = () => {};
    let rewrites = 0;
    const { redis, epoch } = await open({
      rewrite: () =>
        rewrites++ === 0
          ? Promise.resolve()
          : new Promise((resolve) => {
              write = resolve;
            }),
    });
    const [routes, places] = [createRedisRoutes(redis, epoch), createRedisReservations(redis, epoch)];
    const told: string[] = [];
    const listener = { changed: ({ kind }: { kind: string }) => told.push(kind), lost: () => undefined };
    await routes.put(testRoute('a'));
    const end = await routes.watch(listener);
    await flush(redis);
    await refusal(places.take(of('a'), 1));
    await refusal(routes.watch(listener));
    await expect.poll(() => rewrites).toBe(2);
    await refusal(routes.get('a'));
    await refusal(places.take(of('a'), 1));
    expect(told).toEqual(['put']);
    write();
    await expect.poll(() => places.take(of('a'), 1).catch(() => undefined)).toBe('taken');
    expect(await routes.get('a')).toBeUndefined();
    end();
  });

  it('gives out no place in an epoch that has only just begun: others may not have told yet what they start', async () => {
    const { redis, epoch, prefix } = await open();
    const patient = await open({ prefix, graceMs: 3_600_000 });
    const routes = createRedisRoutes(patient.redis, patient.epoch);
    await expect.poll(() => routes.get('a').then(() => 'written', String)).toBe('written');
    await refusal(createRedisReservations(patient.redis, patient.epoch).take(of('a'), 1));
    expect(await createRedisReservations(redis, epoch).take(of('a'), 1)).toBe('taken');
  });

  it('gives up a connection whose server has stopped to answer', async () => {
    const { redis, epoch } = await open();
    const routes = createRedisRoutes(redis, epoch);
    await routes.put(testRoute('a'));
    server.freeze();
    await refusal(routes.get('a'));
    // At once: what is not connected is not waited for.
    await refusal(routes.get('a'));
    server.thaw();
    await expect.poll(() => routes.get('a').catch(() => undefined)).toEqual(expect.objectContaining({}));
  });
});
