import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call, open, raw } from './http1.ts';

const ADDRESS = '127.0.0.24';
let edge: Edge;
let port: number;
let host: string;
/** What the sandbox saw, as method and path. */
let seen: string[] = [];
const entry = sandboxRoute(ADDRESS);

beforeAll(async () => {
  edge = await Edge.start();
  await edge.routes.put(entry);
  const served = await edge.serve(ADDRESS, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      seen.push(`${request.method} ${request.url} ${body}`);
      response.end(`<${body}>`);
    });
  });
  port = served.port;
  host = `${port}-${entry.sandboxId}.localhost`;
});
afterAll(() => edge[Symbol.asyncDispose]());

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';

describe('a request that two servers could read differently never reaches a sandbox', () => {
  it.each([
    ['both framings', 'Content-Length: 6\r\nTransfer-Encoding: chunked', `0\r\n\r\n${SMUGGLED}`],
    [
      'both framings, the other way round',
      'Transfer-Encoding: chunked\r\nContent-Length: 6',
      `0\r\n\r\n${SMUGGLED}`,
    ],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6', 'xxxxxx'],
    ['two equal lengths', 'Content-Length: 5\r\nContent-Length: 5', 'xxxxx'],
    ['a list of lengths', 'Content-Length: 5, 5', 'xxxxx'],
    ['a signed length', 'Content-Length: +5', 'xxxxx'],
    ['a hexadecimal length', 'Content-Length: 0x5', 'xxxxx'],
    ['an unknown coding', 'Transfer-Encoding: xchunked', `0\r\n\r\n${SMUGGLED}`],
    ['chunked not last', 'Transfer-Encoding: chunked, identity', `0\r\n\r\n${SMUGGLED}`],
    ['two codings', 'Transfer-Encoding: gzip, chunked', `0\r\n\r\n${SMUGGLED}`],
    ['chunked twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', `0\r\n\r\n${SMUGGLED}`],
    ['a blank before the colon', 'Transfer-Encoding : chunked', `0\r\n\r\n${SMUGGLED}`],
    ['a folded coding', 'Transfer-Encoding:\r\n chunked', `0\r\n\r\n${SMUGGLED}`],
    ['a folded header', 'X-A: b\r\n c: d\r\nContent-Length: 0', ''],
    ['a vertical tab', 'Transfer-Encoding:\x0bchunked', `0\r\n\r\n${SMUGGLED}`],
    ['a NUL in a value', 'X-A: b\0c\r\nContent-Length: 0', ''],
    ['a lone CR in a value', 'X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 0', ''],
    ['a malformed chunk size', 'Transfer-Encoding: chunked', `0x0\r\n\r\n${SMUGGLED}`],
    ['a negative chunk size', 'Transfer-Encoding: chunked', `-1\r\n\r\n${SMUGGLED}`],
    ['a chunk longer than announced', 'Transfer-Encoding: chunked', `1\r\nxx\r\n0\r\n\r\n${SMUGGLED}`],
  ])('%s', async (_, fields, body) => {
    seen = [];
    const bytes = `POST /outer HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\nConnection: close\r\n\r\n${body}`;
    const answer = await raw(edge.port, Buffer.from(bytes, 'latin1'));
    expect(answer).toMatch(/^HTTP\/1\.1 (400|501) /);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(seen.filter((line) => line.includes('smuggled'))).toEqual([]);
    expect(seen.filter((line) => line.startsWith('POST'))).toEqual([]);
  });
});

it.each([
  'GET /a b HTTP/1.1',
  'GE T / HTTP/1.1',
  'GET /\x01 HTTP/1.1',
  'GET ftp://x/ HTTP/1.1',
  'GET x HTTP/1.1',
  'GET / HTTP/3.0',
])('answers the request line %j with 400', async (line) => {
  seen = [];
  const answer = await raw(
    edge.port,
    Buffer.from(`${line}\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 'latin1'),
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(seen).toEqual([]);
});

it.each(['GET / HTTP/2.0', 'POST / HTTP/2.0', 'CONNECT x:80 HTTP/2.0', 'GET / HTTP/0.9'])(
  'answers %j with 505 or 400, and goes on',
  async (line) => {
    seen = [];
    for (const fields of ['', 'Connection: Upgrade\r\nUpgrade: websocket\r\n']) {
      const answer = await raw(edge.port, `${line}\r\nHost: ${host}\r\n${fields}Connection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 (505|400|405) /);
    }
    expect(seen).toEqual([]);
    expect((await call({ port: edge.port, host })).status).toBe(200);
  },
);

it('frames a chunked body anew, extensions dropped', async () => {
  seen = [];
  const answer = await raw(
    edge.port,
    `POST /c HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`,
  );
  expect(answer).toContain('<abcde>');
  expect(seen).toEqual(['POST /c abcde']);
});

it('checks every request on a kept connection', async () => {
  const socket = await open(edge.port);
  socket.write(`GET /one HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await socket.until(/<>/);
  socket.write(
    `POST /init HTTP/1.1\r\nHost: 49983-${entry.sandboxId}.localhost\r\nContent-Length: 0\r\n\r\n`,
  );
  await socket.until(/HTTP\/1\.1 404 [\s\S]*reserved/);
  socket.destroy();
});

it('answers 431 if the headers are larger than 64 KiB, and serves what is smaller', async () => {
  const big = await raw(edge.port, `GET / HTTP/1.1\r\nHost: ${host}\r\nX-Big: ${'a'.repeat(70_000)}\r\n\r\n`);
  expect(big).toMatch(/^HTTP\/1\.1 431 /);
  const headers = { 'x-big': 'a'.repeat(50_000) };
  expect((await call({ port: edge.port, host, headers, path: `/${'p'.repeat(8000)}` })).status).toBe(200);
});

it('refuses CONNECT', async () => {
  const answer = await raw(edge.port, `CONNECT ${host}:80 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 405 /);
});

it('forwards methods that only some servers know', async () => {
  seen = [];
  expect((await call({ port: edge.port, host, method: 'PROPFIND', path: '/dav' })).status).toBe(200);
  expect(seen).toEqual(['PROPFIND /dav ']);
});
