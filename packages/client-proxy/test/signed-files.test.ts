import { setImmediate as turn } from 'node:timers/promises';
import type { FindSigner } from '@islet/catalog';
import { envdAccessToken, signFile } from '@islet/contracts';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call } from './http1.ts';

const ADDRESS = '127.0.0.27';
let edge: Edge;
const token = (sandboxId: string) => envdAccessToken('seed', sandboxId);
const mine = sandboxRoute(ADDRESS);
const id = mine.sandboxId;
/** Sandboxes whose tokens are known. */
const signers = new Set([id]);
let searches = 0;
let searchesAtOnce = 0;
let mostAtOnce = 0;

const findSigner: FindSigner = async ({ operations, expiration, signature, ...fields }) => {
  searches++;
  mostAtOnce = Math.max(mostAtOnce, ++searchesAtOnce);
  await turn();
  searchesAtOnce--;
  const isSignedBy = (sandboxId: string) =>
    operations.some((operation) => {
      const known = { ...fields, operation, envdAccessToken: token(sandboxId) };
      return signFile(expiration === undefined ? known : { ...known, expiration }) === signature;
    });
  return [...signers].find(isSignedBy);
};

beforeAll(async () => {
  // A stand-in for envd at a free port: it says who it is and what it got.
  const probe = await Edge.start();
  const { port } = await probe.serve(ADDRESS, () => {});
  await probe[Symbol.asyncDispose]();
  edge = await Edge.start({ envdPort: port, findSigner });
  await edge.routes.put(mine);
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
  const gone = sandboxRoute(ADDRESS);
  await edge.routes.put(gone);
  signers.add(gone.sandboxId);
  const path = signedPath('GET', '/x', {}, gone.sandboxId);
  expect((await call({ port: edge.port, host: 'localhost', path })).status).toBe(200);
  await edge.remove(gone);
  signers.delete(gone.sandboxId);
  expect((await call({ port: edge.port, host: 'localhost', path })).status).toBe(401);
});

it('asks who signed a URL once, and about one URL at a time', async () => {
  const path = signedPath('GET', '/asked-once');
  searches = 0;
  for (let i = 0; i < 3; i++) {
    expect((await call({ port: edge.port, host: 'localhost', path })).status).toBe(200);
  }
  expect(searches).toBe(1);
  const bad = Array.from({ length: 50 }, (_, i) =>
    call({
      port: edge.port,
      host: 'localhost',
      path: `/files?path=%2Fx&signature=v1_${'A'.repeat(41)}${i + 10}`,
    }),
  );
  const host = `${edge.envdPort}-${id}.localhost`;
  expect((await call({ port: edge.port, host })).status).toBe(200);
  for (const answer of await Promise.all(bad)) expect(answer.status).toBe(401);
  expect(searches).toBe(51);
  expect(mostAtOnce).toBe(1);
});

it('finds none by a URL without who knows the tokens', async () => {
  await using alone = await Edge.start({ envdPort: edge.envdPort });
  await alone.routes.put(mine);
  const path = signedPath('GET', '/x');
  expect((await call({ port: alone.port, host: 'localhost', path })).status).toBe(401);
});
