import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';

const ADDRESS = '127.0.0.29';
let edge: Edge;
let sandbox: Server;
let session: ClientHttp2Session;
/** What the "sandbox" answers, before it closes the connection. */
let answer = '';
const entry = sandboxRoute(ADDRESS);

beforeAll(async () => {
  edge = await Edge.start();
  await edge.routes.put(entry);
  sandbox = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answer, 'latin1'));
  });
  await new Promise<void>((resolve) => sandbox.listen(0, ADDRESS, resolve));
  session = connect(`https://127.0.0.1:${edge.port}`, { rejectUnauthorized: false });
});
afterAll(async () => {
  session.destroy();
  await edge[Symbol.asyncDispose]();
  await new Promise((resolve) => sandbox.close(resolve));
});

interface Taken {
  status: number | undefined;
  headers: Record<string, unknown>;
  informed: number[];
  body: string;
  trailers: Record<string, unknown>;
  /** The code that the stream was ended with. */
  code: number;
}

function ask(text: string, method = 'GET'): Promise<Taken> {
  answer = text;
  const { port } = sandbox.address() as AddressInfo;
  const stream: ClientHttp2Stream = session.request({
    ':authority': `${port}-${entry.sandboxId}.localhost`,
    ':method': method,
  });
  const taken: Taken = { status: undefined, headers: {}, informed: [], body: '', trailers: {}, code: 0 };
  stream.setEncoding('latin1');
  stream.on('headers', (headers) => taken.informed.push(Number(headers[':status'])));
  stream.on('response', (headers) => {
    taken.status = headers[':status'];
    taken.headers = headers;
  });
  stream.on('trailers', (trailers) => {
    taken.trailers = trailers;
  });
  stream.on('data', (chunk) => {
    taken.body += chunk;
  });
  stream.on('error', () => {});
  return new Promise((resolve) => {
    stream.on('close', () => resolve({ ...taken, code: stream.rstCode }));
  });
}

const OK = 'HTTP/1.1 200 OK\r\n';

it('gives names that mean something in JavaScript on as they are', async () => {
  const taken = await ask(
    `${OK}Constructor: a\r\n__proto__: b\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nok`,
  );
  expect([taken.status, taken.body, taken.code]).toEqual([200, 'ok', 0]);
  expect(Object.entries(taken.headers)).toEqual(
    expect.arrayContaining([
      ['constructor', 'a'],
      ['x-a', '1, 2'],
    ]),
  );
  expect(JSON.stringify(taken.headers)).not.toContain('object');
});

it('passes nothing of HTTP/1.1 on, and the length as it is kept', async () => {
  const fields =
    'Connection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nTE: gzip\r\n';
  const taken = await ask(`${OK}${fields}Content-Length: 002\r\n\r\nok`);
  expect([taken.status, taken.body, taken.headers['content-length']]).toEqual([200, 'ok', '2']);
  for (const name of ['connection', 'keep-alive', 'x-hop', 'upgrade', 'proxy-connection', 'te']) {
    expect(taken.headers).not.toHaveProperty(name);
  }
});

it.each([
  ['both framings', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
  ['two lengths', `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`],
  ['interim answers without end', 'HTTP/1.1 102 P\r\n\r\n'.repeat(200)],
])('answers 502 for %s', async (_, text) => {
  expect(await ask(text)).toMatchObject({ status: 502, code: 0 });
});

it.each([
  ['a length that is not kept', `${OK}Content-Length: 9\r\n\r\nabc`],
  ['chunks without the last', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`],
])('resets the stream for %s', async (_, text) => {
  expect((await ask(text)).code).not.toBe(constants.NGHTTP2_NO_ERROR);
});

it('keeps what is behind an answer to itself', async () => {
  const behind = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
  expect(await ask(`${OK}Content-Length: 2\r\n\r\nok${behind}`)).toMatchObject({ body: 'ok', code: 0 });
  expect(await ask(`HTTP/1.1 204 No\r\n\r\n${behind}`)).toMatchObject({ status: 204, body: '' });
  expect(await ask(`${OK}Content-Length: 40\r\n\r\n${behind}`, 'HEAD')).toMatchObject({
    status: 200,
    body: '',
  });
});

it('passes interim answers and trailers on, but no trailer that means something in a head', async () => {
  const head = `HTTP/1.1 103 E\r\nLink: x\r\n\r\n${OK}Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const taken = await ask(
    `${head}2\r\nok\r\n0\r\nSet-Cookie: a=b\r\nX-Sum: 1\r\nConnection: close\r\nX-More: 2\r\n\r\n`,
  );
  expect(taken).toMatchObject({
    informed: [103],
    body: 'ok',
    code: 0,
    trailers: { 'x-sum': '1', 'x-more': '2' },
  });
  expect(taken.trailers).not.toHaveProperty('set-cookie');
});

it.each([
  ['a status that HTTP/2 does not have', 'HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\nok'],
  [
    'a head as large as heads may be',
    `${OK}${`X-Large: ${'a'.repeat(600)}\r\n`.repeat(100)}Content-Length: 2\r\n\r\nok`,
  ],
])('survives %s', async (_, text) => {
  await ask(text);
  expect(await ask(`${OK}Content-Length: 2\r\n\r\nok`)).toMatchObject({ status: 200, body: 'ok', code: 0 });
});
