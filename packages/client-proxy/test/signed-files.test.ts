import { envdAccessToken, signFile } from '@islet/contracts';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Edge, idOf, sandboxEntry } from './edge.ts';
import { call } from './http1.ts';

const ADDRESS = '127.0.0.27';
const OTHERS = 2000;
let edge: Edge;
const ids: string[] = [];
const token = (sandboxId: string) => envdAccessToken('seed', sandboxId);

function secured(address: string) {
  const entry = sandboxEntry(address);
  const config = entry.sandbox.config;
  if (config) config.envdAccessToken = token(config.sandboxId);
  return entry;
}

const mine = secured(ADDRESS);
const id = idOf(mine);

beforeAll(async () => {
  // A stand-in for envd at a free port: it says who it is and what it got.
  const probe = await Edge.start();
  const { port } = await probe.serve(ADDRESS, () => {});
  await probe[Symbol.asyncDispose]();
  edge = await Edge.start({ envdPort: port });
  for (let i = 0; i < OTHERS; i++) {
    const entry = secured('127.0.0.28');
    ids.push(idOf(entry));
    await edge.catalog.put(entry);
  }
  await edge.catalog.put(mine);
  await edge.serve(
    ADDRESS,
    (request, response) => {
      request.resume();
      request.on('end', () => response.end(`${request.method} ${request.url}`));
    },
    port,
  );
});
afterAll(() => edge[Symbol.asyncDispose]());

function signedPath(
  method: 'GET' | 'POST',
  path: string,
  extra: Record<string, string> = {},
  sandboxId = id,
): string {
  const operation = method === 'GET' ? 'read' : 'write';
  const expiration = extra.signature_expiration;
  const signature = signFile({
    path,
    operation,
    username: extra.username ?? '',
    envdAccessToken: token(sandboxId),
    ...(expiration === undefined ? {} : { expiration: Number(expiration) }),
  });
  return `/files?${new URLSearchParams({ path, ...extra, signature })}`;
}

it.each([
  ['GET', '/tmp/a b+c%d&e.txt', {}],
  ['GET', 'ü/☃', { username: 'root' }],
  ['POST', '', { signature_expiration: '1999999999' }],
  ['GET', '/x', { username: 'user', signature_expiration: '1' }],
] as const)('finds the sandbox that signed a %s of %j', async (method, path, extra) => {
  const signed = signedPath(method, path, extra);
  for (let i = 0; i < 2; i++) {
    const answer = await call({ port: edge.port, host: 'localhost:3002', method, path: signed });
    expect([answer.status, answer.body.toString()]).toEqual([200, `${method} ${signed}`]);
  }
});

it('lets preflights through for either operation', async () => {
  for (const method of ['GET', 'POST'] as const) {
    const path = signedPath(method, '/x');
    expect((await call({ port: edge.port, host: '127.0.0.1', method: 'OPTIONS', path })).status).toBe(200);
  }
});

it('works with the URLs that the SDK makes', async () => {
  const sandboxUrl = `http://localhost:${edge.port}`;
  class Known extends Sandbox {
    static at(sandboxId: string): Known {
      return new Known({
        sandboxId,
        envdVersion: '0.6.13',
        envdAccessToken: token(sandboxId),
        sandboxUrl,
        apiKey: `e2b_${'0'.repeat(40)}`,
      });
    }
  }
  const sandbox = Known.at(id);
  for (const options of [{}, { useSignatureExpiration: 60 }, { user: 'root' }]) {
    const down = await sandbox.downloadUrl('/home/user/a b.txt', options);
    expect(down.startsWith(`${sandboxUrl}/files?`)).toBe(true);
    const answer = await fetch(down);
    expect([answer.status, (await answer.text()).startsWith('GET /files?')]).toEqual([200, true]);
    const up = await fetch(await sandbox.uploadUrl('/tmp/x', options), { method: 'POST', body: 'data' });
    expect([up.status, (await up.text()).startsWith('POST /files?')]).toEqual([200, true]);
  }
});

it.each([
  ['another path', (path: string) => path.replace('path=%2Fx', 'path=%2Fy')],
  ['another user', (path: string) => `${path}&username=root`],
  ['a signature cut short', (path: string) => path.slice(0, -3)],
])('answers 401 for %s', async (_, change) => {
  const path = change(signedPath('GET', '/x'));
  const answer = await call({ port: edge.port, host: 'localhost', path });
  expect([answer.status, answer.body.toString()]).toEqual([401, 'invalid signature']);
});

it('does not take a read signature for a write', async () => {
  const path = signedPath('GET', '/x');
  expect((await call({ port: edge.port, host: 'localhost', method: 'POST', path })).status).toBe(401);
});

it('leaves requests that name a sandbox, or are not signed, to the ordinary rules', async () => {
  const path = signedPath('GET', '/x');
  expect((await call({ port: edge.port, host: '1-inone.localhost', path })).status).toBe(502);
  expect((await call({ port: edge.port, host: 'localhost', path: '/files?path=/x' })).status).toBe(400);
  expect(
    (await call({ port: edge.port, host: 'localhost', path: path.replace('/files', '/files/compose') }))
      .status,
  ).toBe(400);
  expect((await call({ port: edge.port, host: 'localhost', method: 'PUT', path })).status).toBe(400);
});

it('forgets a URL with its sandbox', async () => {
  const gone = secured(ADDRESS);
  await edge.catalog.put(gone);
  const path = signedPath('GET', '/x', {}, idOf(gone));
  expect((await call({ port: edge.port, host: 'localhost', path })).status).toBe(200);
  await edge.catalog.remove(idOf(gone));
  expect((await call({ port: edge.port, host: 'localhost', path })).status).toBe(401);
});

it('goes on serving others while many bad signatures are looked up', async () => {
  const bad = Array.from({ length: 50 }, (_, i) =>
    call({
      port: edge.port,
      host: 'localhost',
      path: `/files?path=%2Fx&signature=v1_${'A'.repeat(42)}${i % 10}`,
    }),
  );
  let searching = true;
  const searches = Promise.all(bad).then((answers) => {
    searching = false;
    return answers;
  });
  const host = `${edge.envdPort}-${id}.localhost`;
  let served = 0;
  while (searching) {
    expect((await call({ port: edge.port, host })).status).toBe(200);
    served++;
  }
  for (const answer of await searches) expect(answer.status).toBe(401);
  expect(served).toBeGreaterThan(3);
});
