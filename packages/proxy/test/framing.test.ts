import type { Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generatedAnswer } from './answers.ts';
import { RawClient, RawServer, TestFront } from './front.ts';
import { type LlhttpAnswer, readWithLlhttp } from './llhttp.ts';

/** What the "sandbox" answers to `/wrong`; everything else is answered with its own path. */
let wrong: Buffer = Buffer.alloc(0);
/** It closes the connection behind it. */
let closes = false;
/** The connection that the wrong answer was given on. */
let answered: Socket | undefined;
let front: TestFront;
let sandbox: RawServer;

beforeAll(async () => {
  front = await TestFront.start();
  sandbox = await RawServer.start((socket, head) => {
    const path = head.split(' ')[1] ?? '';
    if (path !== '/wrong') {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
      return;
    }
    answered = socket;
    socket.write(wrong);
    if (closes) socket.end();
  });
});
afterAll(async () => {
  await front[Symbol.asyncDispose]();
  await sandbox[Symbol.asyncDispose]();
});

function say(text: string, thenCloses = false): void {
  wrong = Buffer.from(text, 'latin1');
  closes = thenCloses;
}

/** All answers on a connection, as llhttp reads them one behind the other. */
function answersIn(bytes: Buffer, methods: string[]): LlhttpAnswer[] {
  const answers: LlhttpAnswer[] = [];
  let at = 0;
  for (const method of methods) {
    if (at >= bytes.length) break;
    const answer = readWithLlhttp(bytes.subarray(at), method, false);
    answers.push(answer);
    if (!answer.complete) break;
    at = bytes.length - answer.surplus;
  }
  return answers;
}

/** Asks for the wrong answer and for `/second`, on one connection; gives back both as a client reads them. */
async function askTwice(options: { pipelined: boolean; method?: string; fields?: string }) {
  using client = await RawClient.connect(front.port);
  const { method = 'GET', fields = '' } = options;
  const methods = [method, 'GET'];
  const complete = (count: number) => (bytes: Buffer) =>
    answersIn(bytes, methods).filter((answer) => answer.complete || answer.error).length >= count;
  client.get(sandbox.port, '/wrong', fields, method);
  if (!options.pipelined) await client.until(complete(1));
  if (!client.closed) client.get(sandbox.port, '/second');
  const bytes = await client.until(complete(2));
  return { answers: answersIn(bytes, methods), bytes: bytes.toString('latin1'), client };
}

const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

describe.each([
  ['one by one', false],
  ['pipelined', true],
])('answers that could end in two places, to requests %s', (_, pipelined) => {
  it.each([
    [
      'a length and chunks',
      `Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n${(1 + EVIL.length).toString(16)}\r\nx${EVIL}\r\n0\r\n\r\n`,
    ],
    [
      'chunks and a length',
      `Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n${(1 + EVIL.length).toString(16)}\r\nx${EVIL}\r\n0\r\n\r\n`,
    ],
    [
      'a length and chunks that are shorter',
      'Content-Length: 900\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    ],
    ['two lengths', `Content-Length: 1\r\nContent-Length: ${1 + EVIL.length}\r\n\r\nx${EVIL}`],
    ['equal lengths', `Content-Length: 1\r\nContent-Length: 1\r\n\r\nx${EVIL}`],
    ['a list of lengths', `Content-Length: 1, 1\r\n\r\nx${EVIL}`],
    ['a coding behind chunked', `Transfer-Encoding: chunked, gzip\r\n\r\n1\r\nx\r\n0\r\n\r\n${EVIL}`],
    ['a folded length', `Content-Length:\r\n 1\r\n\r\nx${EVIL}`],
    ['a blank before the colon', `Content-Length : 1\r\n\r\nx${EVIL}`],
    ['a bare line feed before the length', `X: y\nContent-Length: 1\r\n\r\nx${EVIL}`],
    ['a bare carriage return before chunks', `Content-Length: 1\rTransfer-Encoding: chunked\r\n\r\nx${EVIL}`],
  ])('get 502 for %s, and the connection to the sandbox is closed', async (_, rest) => {
    say(`HTTP/1.1 200 OK\r\n${rest}`);
    const { answers, bytes } = await askTwice({ pipelined });
    expect(answers.map(({ status }) => status)).toEqual([502, 200]);
    expect(answers[1]?.body).toBe('/second');
    expect(bytes).not.toContain('evil');
    await expect.poll(() => answered?.destroyed).toBe(true);
  });

  it.each([
    ['GET', `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx${EVIL}`, 200],
    ['GET', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n${EVIL}`, 200],
    ['GET', `HTTP/1.1 204 No\r\n\r\n${EVIL}`, 204],
    ['GET', `HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n${EVIL}`, 204],
    ['GET', `HTTP/1.1 304 Not\r\nContent-Length: 40\r\n\r\n${EVIL}`, 304],
    ['HEAD', `HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n${EVIL}`, 200],
    ['HEAD', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${EVIL}`, 200],
  ])('drop what comes behind %s %j', async (method, text, status) => {
    say(text);
    const { answers, bytes } = await askTwice({ pipelined, method });
    expect(answers.map((answer) => answer.status)).toEqual([status, 200]);
    expect(answers[1]?.body).toBe('/second');
    expect(bytes).not.toContain('evil');
    await expect.poll(() => answered?.destroyed).toBe(true);
  });
});

it.each([
  ['shorter than its length', 'Content-Length: 10\r\n\r\nabc'],
  ['without its last chunk', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ['with a wrong chunk', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n+3\r\nabc\r\n0\r\n\r\n'],
  [
    'with a length in its trailers',
    'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n',
  ],
])('cuts the client off from an answer %s', async (_, rest) => {
  say(`HTTP/1.1 200 OK\r\n${rest}`, true);
  const { answers, client } = await askTwice({ pipelined: true });
  expect(answers.filter((answer) => answer.complete)).toEqual([]);
  expect([client.closed, client.reset]).toEqual([true, false]);
});

it('resets a client that reads until the end, since it would take what it got for whole', async () => {
  say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', true);
  using client = await RawClient.connect(front.port);
  client.socket.write(`GET /wrong HTTP/1.0\r\nHost: ${sandbox.port}\r\n\r\n`);
  await client.until(() => false);
  expect(client.reset).toBe(true);
});

it('passes no field on that Node.js or the client could take for a frame, and none that ends with a hop', async () => {
  say(
    'HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=1\r\nUpgrade: h2c\r\nX-Hop: 1\r\n' +
      'Trailer: X-Sum\r\nProxy-Connection: close\r\nTE: trailers\r\nDate: now\r\nContent-Length: 02\r\n\r\nab',
  );
  const { answers } = await askTwice({ pipelined: false });
  expect(answers.map(({ body }) => body)).toEqual(['ab', '/second']);
  expect(answers[0]?.fields.filter((_, i) => i % 2 === 0)).toEqual([
    'Date',
    'Content-Length',
    'Connection',
    'Keep-Alive',
  ]);
  expect(answers[0]?.fields).toContain('2');
});

it('passes trailers on, but none that means something in a head', async () => {
  const kept = 'X-Sum: 1\r\nServer-Timing: a\r\n';
  const dropped = [
    'Connection: close',
    'Host: x',
    'Set-Cookie: a=b',
    'Location: /',
    'Trailer: X',
    'Content-Type: a/b',
    'Content-Encoding: gzip',
    'Cache-Control: no-store',
    'Authorization: x',
    'Keep-Alive: timeout=1',
    'Access-Control-Allow-Origin: *',
    'X-Forwarded-For: x',
  ];
  say(
    `HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${dropped.join('\r\n')}\r\n${kept}\r\n`,
  );
  const { answers } = await askTwice({ pipelined: true });
  expect(answers[0]?.trailers).toEqual(['X-Sum', '1', 'Server-Timing', 'a']);
  expect(answers[1]?.body).toBe('/second');
});

it('leaves the second answer to the second request, whatever the first one is', async () => {
  await fc.assert(
    fc.asyncProperty(generatedAnswer, fc.boolean(), async ({ bytes, situation }, pipelined) => {
      wrong = bytes;
      // An answer that stays incomplete would be waited for.
      closes = true;
      const method = situation.method === 'HEAD' ? 'HEAD' : 'GET';
      const fields = situation.upgrade === undefined ? '' : 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
      if (fields !== '') return;
      const { answers, bytes: received } = await askTwice({ pipelined, method, fields });
      for (const answer of answers) expect([answer.error, received]).toEqual([undefined, received]);
      const second = answers[1];
      if (second === undefined) expect(answers[0]?.complete ?? false).toBe(false);
      else expect(second).toMatchObject({ status: 200, body: '/second', surplus: 0 });
    }),
    { numRuns: 400 },
  );
});
