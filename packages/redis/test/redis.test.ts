import { reservationsContract, routesContract, testRoute } from '@islet/catalog/contract';
import { IsletError } from '@islet/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRedisReservations, createRedisRoutes, RedisConnection } from '../src/index.ts';
import { TestServer } from './server.ts';

/** Counts the connections of the suites, each of which has keys of its own. */
let opened = 0;

describe.each(['redis-server', 'valkey-server'])('%s', (program) => {
  let server: TestServer;
  const connections: RedisConnection[] = [];
  beforeAll(async () => {
    server = await TestServer.start(program);
  });
  afterAll(async () => {
    for (const connection of connections) await connection[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** One that holds nothing. */
  const open = async (onBack?: () => void) => {
    const prefix = `test-${++opened}`;
    const options = { url: server.url, prefix, onError: () => undefined, ...(onBack && { onBack }) };
    const connection = await RedisConnection.open(options);
    connections.push(connection);
    return connection;
  };

  routesContract(program, async () => createRedisRoutes(await open()));
  reservationsContract(program, async (monotonic) => createRedisReservations(await open(), monotonic));

  it('is refused at the start if nobody answers', async () => {
    const options = { url: `${server.url}-not-there`, prefix: 'test', onError: () => undefined };
    await expect(RedisConnection.open(options)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('says 503 while the server is away, breaks watches off, and comes back by itself, empty', async () => {
    let returns = 0;
    const connection = await open(() => returns++);
    const routes = createRedisRoutes(connection);
    const places = createRedisReservations(connection);
    await routes.put(testRoute('a'));
    const losses: unknown[] = [];
    const end = await routes.watch({ changed: () => undefined, lost: (error) => losses.push(error) });
    await server.stop();
    for (const asked of [routes.get('a'), places.take({ teamId: 't', sandboxId: 'a' }, 1)]) {
      const error = await asked.catch((refusal: unknown) => refusal);
      expect(error).toBeInstanceOf(IsletError);
      expect(error).toMatchObject({ status: 503 });
    }
    await expect.poll(() => losses).toHaveLength(1);
    end();
    await server.restart();
    await expect.poll(() => returns).toBe(1);
    expect(await routes.get('a')).toBeUndefined();
    expect(await routes.put(testRoute('a'))).toBe(true);
    expect(await places.take({ teamId: 't', sandboxId: 'a' }, 1)).toBe('taken');
    expect(await places.take({ teamId: 't', sandboxId: 'b' }, 1)).toBe('full');
  });
});
