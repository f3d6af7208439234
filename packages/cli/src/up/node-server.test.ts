import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { orchestratorProto } from '@islet/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeServer, listen } from './listen.ts';
import { createNodeServer } from './node-server.ts';

let server: Server;
let port: number;
let calls = 0;
beforeAll(async () => {
  server = createNodeServer('secret', (router) => {
    router.service(orchestratorProto.Orchestrator, {
      listSandboxes: () => {
        calls++;
        return {};
      },
      watchSandboxes: async function* () {
        calls++;
        yield {};
      },
    });
  });
  port = await listen(server, '127.0.0.1', 0);
});
afterAll(() => closeServer(server));

const client = () =>
  createClient(
    orchestratorProto.Orchestrator,
    createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: '1.1' }),
  );

const WRONG = [undefined, 'Bearer wrong', 'secret', 'Bearer', 'Bearer secret more', 'Bearer secret\tmore'];

it.each(WRONG)('a call with %j is refused before it does anything', async (authorization) => {
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
  await expect(client().listSandboxes({}, { headers })).rejects.toMatchObject({ code: Code.Unauthenticated });
  const watch = client().watchSandboxes({}, { headers })[Symbol.asyncIterator]();
  await expect(watch.next()).rejects.toMatchObject({ code: Code.Unauthenticated });
  expect(calls).toBe(0);
});

/** Sends a head and then a body without end, as far as it is taken, and gives what was answered before the connection closed. */
async function neverEnding(head: string, piece: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(
    `POST /islet.orchestrator.v1.Orchestrator/ListSandboxes HTTP/1.1\r\nHost: node\r\n${head}\r\n\r\n`,
  );
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  // A connection that is closed under a writer ends with a reset.
  socket.on('error', () => undefined);
  const timer = setInterval(() => socket.writable && socket.write(piece), 1);
  await once(socket, 'close');
  clearInterval(timer);
  return answer;
}

it.each([
  [
    'chunked',
    'Content-Type: application/json\r\nTransfer-Encoding: chunked',
    `400\r\n${'x'.repeat(1024)}\r\n`,
  ],
  ['of a length', 'Content-Type: application/proto\r\nContent-Length: 1000000000000', 'x'.repeat(1024)],
  [
    'of a stream',
    'Content-Type: application/connect+proto\r\nTransfer-Encoding: chunked',
    `400\r\n${'\0'.repeat(1024)}\r\n`,
  ],
  [
    'after a wrong token',
    'Authorization: Bearer no\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked',
    '1\r\n{\r\n',
  ],
  [
    'that asks first',
    'Expect: 100-continue\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked',
    '1\r\n{\r\n',
  ],
  ['that is none', 'Content-Type: application/json\r\nContent-Length: 5', ''],
])('a body without end, %s, and no token: 401 and a closed connection', async (_, head, piece) => {
  expect(await neverEnding(head, piece)).toMatch(/HTTP\/1\.1 401 [\s\S]*"code":"unauthenticated"/);
  expect(calls).toBe(0);
});

it('a message beyond the longest is refused with the token too', async () => {
  const response = await fetch(`http://127.0.0.1:${port}/islet.orchestrator.v1.Orchestrator/ListSandboxes`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: 'Bearer secret' },
    body: `{"x":"${'x'.repeat(65 * 1024 * 1024)}"}`,
  });
  expect(await response.json()).toMatchObject({ code: 'resource_exhausted' });
  expect(calls).toBe(0);
});

it('a call with the token passes', async () => {
  await client().listSandboxes({}, { headers: { authorization: 'Bearer secret' } });
  expect(calls).toBe(1);
});

it('closes no connection before its caller does, whose next call would be lost', async () => {
  const socket = connect(port, '127.0.0.1');
  const ended = once(socket, 'end').then(() => 'closed');
  socket.write('GET / HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer secret\r\n\r\n');
  await once(socket, 'data');
  socket.resume();
  // Node.js's own servers close it after five seconds, and one for what is on its way.
  expect(await Promise.race([ended, sleep(7_000, 'open')])).toBe('open');
  socket.destroy();
});
