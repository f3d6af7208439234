import { once } from 'node:events';
import { connect } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { newSandboxId, orchestratorProto, type Sandbox } from '@islet/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

let api: Harness;
let team: { id: string; slug: string; key: string };

beforeAll(async () => {
  api = await startHarness();
  team = await api.team('caps');
});
afterAll(() => api.close());

/** `count` entries, each of a key and a value as long as said. */
const entries = (count: number, keyLength = 8, valueLength = 0) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`${i}`.padEnd(keyLength, 'k'), 'v'.repeat(valueLength)]),
  );
const many = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

const sandbox = (fields: object) => ({ templateID: 'base', ...fields });

describe('a request beyond a cap is refused by the name of its field and the limit', () => {
  it.each<[what: string, method: string, path: string, body: unknown, message: string]>([
    [
      'metadata entries',
      'POST',
      '/sandboxes',
      sandbox({ metadata: entries(257) }),
      'body/metadata must NOT have more than 256 properties',
    ],
    [
      'metadata keys',
      'POST',
      '/sandboxes',
      sandbox({ metadata: entries(1, 257) }),
      'body/metadata must NOT have more than 256 characters',
    ],
    [
      'metadata values',
      'POST',
      '/sandboxes',
      sandbox({ metadata: { a: 'x'.repeat(8 * KIB + 1) } }),
      'body/metadata/a must NOT have more than 8192 characters',
    ],
    [
      'metadata together',
      'POST',
      '/v2/sandboxes',
      sandbox({ metadata: entries(200, 10, 100) }),
      'body/metadata must NOT have keys and values of more than 16384 bytes together',
    ],
    [
      'metadata together in UTF-8',
      'POST',
      '/sandboxes',
      sandbox({ metadata: { a: 'ü'.repeat(8 * KIB) } }),
      'body/metadata must NOT have keys and values of more than 16384 bytes',
    ],
    [
      'variables',
      'POST',
      '/sandboxes',
      sandbox({ envVars: entries(1025) }),
      'body/envVars must NOT have more than 1024 properties',
    ],
    [
      'names of variables',
      'POST',
      '/sandboxes',
      sandbox({ envVars: entries(1, 257) }),
      'body/envVars must NOT have more than 256 characters',
    ],
    [
      'values of variables',
      'POST',
      '/v2/sandboxes',
      sandbox({ envVars: { a: 'x'.repeat(64 * KIB + 1) } }),
      'body/envVars/a must NOT have more than 65536 characters',
    ],
    [
      'variables together',
      'POST',
      '/sandboxes',
      sandbox({ envVars: entries(3, 1, 60_000) }),
      'body/envVars must NOT have keys and values of more than 131072 bytes together',
    ],
    [
      'allowed addresses',
      'POST',
      '/sandboxes',
      sandbox({ network: { allowOut: many(1001, '1.1.1.1') } }),
      'body/network/allowOut must NOT have more than 1000 items',
    ],
    [
      'the length of an address',
      'POST',
      '/sandboxes',
      sandbox({ network: { denyOut: ['1'.repeat(256)] } }),
      'body/network/denyOut/0 must NOT have more than 255 characters',
    ],
    [
      'network rules',
      'POST',
      '/sandboxes',
      sandbox({ network: { rules: Object.fromEntries(Object.keys(entries(101)).map((key) => [key, []])) } }),
      'body/network/rules must NOT have more than 100 properties',
    ],
    [
      'tokens',
      'POST',
      '/sandboxes',
      sandbox({
        iam: {
          tokens: Object.fromEntries(
            Object.keys(entries(101)).map((key) => [key, { audience: '', tokenType: '' }]),
          ),
        },
      }),
      'body/iam/tokens must NOT have more than 100 properties',
    ],
    [
      'mounts',
      'POST',
      '/sandboxes',
      sandbox({ volumeMounts: many(101, { name: 'a', path: '/a' }) }),
      'body/volumeMounts must NOT have more than 100 items',
    ],
    [
      'the name of a mounted volume',
      'POST',
      '/sandboxes',
      sandbox({ volumeMounts: [{ name: 'a'.repeat(513), path: '/a' }] }),
      'body/volumeMounts/0/name must NOT have more than 512 characters',
    ],
    [
      'the template',
      'POST',
      '/sandboxes',
      { templateID: 'a'.repeat(513) },
      'body/templateID must NOT have more than 512 characters',
    ],
    [
      'a template’s name',
      'POST',
      '/v3/templates',
      { name: 'a'.repeat(513) },
      'body/name must NOT have more than 512 characters',
    ],
    [
      'a build’s tags',
      'POST',
      '/v3/templates',
      { name: 'a', tags: many(1001, 'v1') },
      'body/tags must NOT have more than 1000 items',
    ],
    [
      'tags',
      'POST',
      '/templates/tags',
      { target: 'base', tags: many(101, 'v1') },
      'body/tags must NOT have more than 100 items',
    ],
    [
      'steps',
      'POST',
      `/v2/templates/t/builds/${crypto.randomUUID()}`,
      { steps: many(2001, { type: 'RUN' }) },
      'body/steps must NOT have more than 2000 items',
    ],
    [
      'a command',
      'POST',
      `/v2/templates/t/builds/${crypto.randomUUID()}`,
      { startCmd: 'x'.repeat(128 * KIB + 1) },
      'body/startCmd must NOT have more than 131072 characters',
    ],
    [
      'a volume’s name',
      'POST',
      '/volumes',
      { name: 'a'.repeat(513) },
      'body/name must NOT have more than 512 characters',
    ],
    [
      'asked-for metadata',
      'GET',
      `/v2/sandboxes?metadata=${encodeURIComponent(many(33, 'a=1').join('&'))}`,
      undefined,
      'Error parsing metadata: at most 32 pairs',
    ],
    [
      'ids in a query',
      'GET',
      `/sandboxes/metrics?sandbox_ids=${many(101, 'iabc').join(',')}`,
      undefined,
      'maximum is 100',
    ],
    [
      'a page’s token',
      'GET',
      `/v2/sandboxes?nextToken=${'a'.repeat(513)}`,
      undefined,
      'querystring/nextToken must NOT have more than 512 characters',
    ],
    [
      'states',
      'GET',
      `/v2/sandboxes?state=${many(20, 'paused').join(',')}`,
      undefined,
      'querystring/state must NOT have more than 64 characters',
    ],
  ])('%s', async (_, method, path, body, message) => {
    const answer = await api.call(method, path, { key: team.key, ...(body !== undefined && { body }) });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 400, message: expect.stringContaining(message) },
    });
    // Nothing of what was sent at length comes back.
    expect(answer.body.message.length).toBeLessThan(1000);
  });

  it.each<[method: string, path: string, most: number]>([
    ['POST', '/sandboxes', 512 * KIB],
    ['POST', '/v2/sandboxes', 512 * KIB],
    ['PUT', '/sandboxes/iabc/network', 128 * KIB],
    ['POST', '/sandboxes/iabc/timeout', 64 * KIB],
    ['POST', '/v3/templates', 64 * KIB],
    ['POST', '/volumes', 64 * KIB],
    ['POST', `/v2/templates/t/builds/${crypto.randomUUID()}`, 2 * MIB],
  ])('the body of %s %s', async (method, path, most) => {
    const bodyOf = (bytes: number) => `{"x":"${'x'.repeat(bytes - 8)}"}`;
    const fits = await api.call(method, path, { key: team.key, raw: bodyOf(most) });
    expect(fits.status).not.toBe(413);
    const answer = await api.call(method, path, { key: team.key, raw: bodyOf(most + 1) });
    expect(answer).toMatchObject({
      status: 413,
      body: { code: 413, message: `request body is larger than ${most / KIB} KiB` },
    });
  });

  it.each([
    ['members', JSON.stringify({ templateID: 'base', x: entries(10_001, 1) }), 'more than 10000 values'],
    ['elements', `{"templateID":"base","x":[${many(10_001, '0').join(',')}]}`, 'more than 10000 values'],
    ['empty arrays', `{"templateID":"base","x":[${many(10_001, '[]').join(',')}]}`, 'more than 10000 values'],
    [
      'text that hides nothing',
      `{"templateID":"base","x":["\\"],{",${many(10_001, '"\\\\"').join(',')}]}`,
      'more than 10000 values',
    ],
    ['depth', `{"templateID":"base","x":${nested(32)}}`, 'nested deeper than 32 levels'],
    ['great depth', `{"templateID":"base","x":${nested(200_000)}}`, ''],
  ])('a body’s %s', async (_, raw, message) => {
    const answer = await api.call('POST', '/sandboxes', { key: team.key, raw });
    expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining(message) } });
  });

  it('half a million metadata keys', async () => {
    const answer = await api.call('POST', '/sandboxes', {
      key: team.key,
      body: sandbox({ metadata: entries(500_000) }),
    });
    expect(answer.status).toBe(413);
  });

  it('a line and headers of more than 16 KiB', async () => {
    const answer = await fetch(`${api.url}/v2/sandboxes?metadata=${'a'.repeat(17 * KIB)}`);
    expect(answer.status).toBe(431);
  });
});

it('takes a request that has all it may have', async () => {
  const body = sandbox({
    metadata: entries(256, 54, 10),
    envVars: entries(1024, 28, 100),
    network: { allowOut: many(1000, '255.255.255.255/32'), denyOut: many(1000, '255.255.255.255/32') },
  });
  const { status, body: made } = await api.call('POST', '/sandboxes', { key: team.key, body });
  expect(status).toBe(201);
  const { body: shown } = await api.call('GET', `/sandboxes/${made.sandboxID}`, { key: team.key });
  expect(Object.keys(shown.metadata)).toHaveLength(256);
  expect((await api.call('DELETE', `/sandboxes/${made.sandboxID}`, { key: team.key })).status).toBe(204);
});

describe('requests under way', () => {
  /** Begins requests whose bodies never come, and gives what ends them. */
  async function begin(count: number, head: string, key: string): Promise<() => Promise<void>> {
    const { hostname, port } = new URL(api.url);
    const sockets = Array.from({ length: count }, () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.write(
        `POST /sandboxes HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${key}\r\nContent-Type: application/json\r\n${head}\r\n\r\n`,
      );
      return socket;
    });
    return async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'close')));
    };
  }

  it.each([
    ['a thousand of them', 1000, 'Content-Length: 2', 'you have 1000 requests under way'],
    ['64 MiB of declared bodies', 128, `Content-Length: ${512 * KIB}`, 'bodies of 64 MiB together under way'],
    [
      '64 MiB of bodies that may come',
      128,
      'Transfer-Encoding: chunked',
      'bodies of 64 MiB together under way',
    ],
  ])('of one team are bounded by %s, and leave room for others', async (_, count, head, message) => {
    const [{ key }, other] = [await api.team('many-requests'), await api.team('few-requests')];
    const ask = (as: string) =>
      api.call('POST', '/sandboxes/iabc/timeout', { key: as, body: { timeout: 1 } });
    expect((await ask(key)).status).toBe(404);
    const end = await begin(count, head, key);
    await expect.poll(async () => (await ask(key)).status).toBe(429);
    const refused = await ask(key);
    expect(refused.body.message).toContain(message);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect((await ask(other.key)).status).toBe(404);
    await end();
    await expect.poll(async () => (await ask(key)).status).toBe(404);
  });
});

describe('lists', () => {
  /** As long as metadata may be. */
  const metadata = entries(2, 8, 8180);
  let presented = 0;

  /** Enters sandboxes of a team that share their metadata, and counts how many are presented. */
  function enter(teamId: string, count: number): string[] {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) {
      const sandboxId = newSandboxId();
      ids.push(sandboxId);
      const config = create(orchestratorProto.SandboxConfigSchema, { sandboxId, teamId });
      config.metadata = metadata;
      Object.defineProperty(config, 'volumeMounts', {
        enumerable: true,
        get() {
          presented++;
          return [];
        },
      });
      const entered = create(orchestratorProto.SandboxSchema, {
        state: orchestratorProto.SandboxState.RUNNING,
        startedAtMs: 1_800_000_000_000 + i,
        endAtMs: 1_900_000_000_000,
      });
      entered.config = config;
      api.sandboxes.put(entered as Sandbox);
    }
    return ids;
  }

  it('end a page where its rows pass a mebibyte, and go on behind it', async () => {
    const { id, key } = await api.team('long-rows');
    const ids = enter(id, 200);
    for (const order of ['desc', 'asc']) {
      const found: string[] = [];
      for (let token: string | null = ''; token !== null; ) {
        const query = `order=${order}${token && `&nextToken=${encodeURIComponent(token)}`}`;
        const answer = await api.call('GET', `/v2/sandboxes?${query}`, { key });
        expect(answer.status).toBe(200);
        expect(JSON.stringify(answer.body).length).toBeLessThanOrEqual(MIB + KIB);
        expect(answer.headers.get('x-total-running')).toBe('200');
        found.push(...answer.body.map(({ sandboxID }: { sandboxID: string }) => sandboxID));
        token = answer.headers.get('x-next-token');
      }
      expect(found).toEqual(order === 'desc' ? [...ids].reverse() : ids);
    }
  });

  it('that have no pages are made as fast as they are read, with others served meanwhile', async () => {
    const { id, key } = await api.team('long-list');
    const count = 10_000;
    enter(id, count);
    presented = 0;
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `GET /sandboxes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-API-Key: ${key}\r\n\r\n`,
    );
    await once(socket, 'readable');
    for (let i = 0; i < 20; i++) expect((await api.call('GET', '/health', { key: null })).status).toBe(200);
    // What the connection holds on its way is megabytes; the list has 160.
    expect(presented).toBeGreaterThan(0);
    expect(presented).toBeLessThan(count / 2);
    socket.destroy();
  });

  it('are read to the end by a client that reads', async () => {
    const { id, key } = await api.team('whole-list');
    const ids = enter(id, 1200);
    const answer = await api.call('GET', '/sandboxes', { key });
    expect(answer.body.map(({ sandboxID }: { sandboxID: string }) => sandboxID)).toEqual([...ids].reverse());
  });
});
