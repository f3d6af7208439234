import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useOrderlyClose } from './closing.ts';

/** Shorter than Node's own limits, and long enough for an answer. */
const LONGEST_MS = 2_000;

let app: FastifyInstance;
let clients: Socket[];

beforeEach(async () => {
  clients = [];
  app = Fastify({ keepAliveTimeout: 600_000, forceCloseConnections: 'idle' });
  useOrderlyClose(app, LONGEST_MS);
  app.get('/', async () => 'hello');
  app.get('/slow', async () => {
    await sleep(300);
    return 'late';
  });
  app.get('/never', () => new Promise(() => undefined));
  await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await app.close();
});

async function client(text: string): Promise<Socket> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  clients.push(socket);
  const accepted = once(app.server, 'connection');
  await once(socket, 'connect');
  await accepted;
  socket.write(text);
  return socket;
}

const asking = (path: string) => `GET ${path} HTTP/1.1\r\nHost: islet\r\n\r\n`;

/** All that comes until the server ends the connection. */
async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

describe('a server that closes', () => {
  it.each([
    ['has sent nothing', ''],
    ['has sent half a head', 'GET / HTTP/1.1\r\nHost:'],
  ])('does not wait for a client that %s', async (_what, sent) => {
    const socket = await client(sent);
    // One that has sent half a request may be reset.
    const ended = once(socket, 'close').catch(() => undefined);
    const closed = app.close().then(() => 'closed');
    expect(await Promise.race([closed, sleep(LONGEST_MS / 2)])).toBe('closed');
    await ended;
  });

  it('does not wait for a client that keeps its connection', async () => {
    const socket = await client(asking('/'));
    await once(socket, 'data');
    const closed = app.close().then(() => 'closed');
    expect(await Promise.race([closed, sleep(LONGEST_MS / 2)])).toBe('closed');
  });

  it('answers what it has been asked', async () => {
    const answer = heard(await client(asking('/slow')));
    await sleep(50);
    await app.close();
    const text = await answer;
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(text).toMatch(/^connection: close\r$/im);
    expect(text).toMatch(/late$/);
  });

  it('cuts off in the end who has no answer', async () => {
    const answer = heard(await client(asking('/never')));
    await sleep(50);
    await app.close();
    expect(await answer).toBe('');
  });
});
