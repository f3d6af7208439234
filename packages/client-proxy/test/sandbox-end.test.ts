import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';

const ADDRESS = '127.0.0.27';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
/** More than any buffer between two sockets of one machine takes at once. */
const MUCH = 4 * 1024 * 1024;

let edge: Edge;
let entry = sandboxRoute(ADDRESS);
let sandbox: Server;
/** The sandbox's side of each connection. */
const inside: Socket[] = [];

beforeAll(async () => {
  edge = await Edge.start();
  sandbox = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    inside.push(socket);
  });
  await new Promise<void>((resolve) => sandbox.listen(0, ADDRESS, resolve));
});
afterAll(async () => {
  await edge[Symbol.asyncDispose]();
  await new Promise((resolve) => sandbox.close(resolve));
});
beforeEach(async () => {
  entry = sandboxRoute(ADDRESS);
  await edge.routes.put(entry);
});
afterEach(() => {
  for (const socket of inside.splice(0)) socket.destroy();
});

const host = () => `${(sandbox.address() as AddressInfo).port}-${entry.sandboxId}.localhost`;
const request = (fields = '', version = '1.1') => `GET / HTTP/${version}\r\nHost: ${host()}\r\n${fields}\r\n`;

/** As a kill does: from now on the sandbox says nothing, not even that it is over. */
async function endSandbox(): Promise<void> {
  await edge.remove(entry);
}

/** All bytes that a client gets, and how its connection ends. */
class Listener {
  received = Buffer.alloc(0);
  readonly ended: Promise<string>;

  constructor(socket: Socket) {
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.ended = new Promise((resolve) => {
      socket.once('end', () => resolve('in order'));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? String(error)));
    });
  }
}

async function ask(bytes: string): Promise<{ client: Socket; listener: Listener; server: Socket }> {
  const client = connect(edge.port, '127.0.0.1');
  const asked = once(sandbox, 'connection') as Promise<[Socket]>;
  client.write(bytes);
  const [server] = await asked;
  await once(server, 'data');
  return { client, listener: new Listener(client), server };
}

describe('a sandbox that ends in the middle of an answer', () => {
  it.each([
    ['chunks', CHUNKED, '5\r\nfirst\r\n', '4\r\nlast\r\n'],
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n', 'first', 'last'],
    ['the connection’s end', 'HTTP/1.1 200 OK\r\n\r\n', 'first', 'last'],
  ])('ends one by %s in order, behind all that it had sent', async (_, head, first, last) => {
    const { listener, server } = await ask(request());
    server.write(head + first);
    await expect.poll(() => listener.received.toString()).toContain('first');
    server.write(last);
    await endSandbox();
    expect(await listener.ended).toBe('in order');
    expect(listener.received.toString()).toMatch(/first[\s\S]*last(?:\r\n)?$/);
  });

  it('tells the head if nothing else had come', async () => {
    const { listener, server } = await ask(request());
    server.write(CHUNKED);
    await endSandbox();
    expect(await listener.ended).toBe('in order');
    expect(listener.received.toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n$/);
  });

  it('ends it in order for a client that goes on sending', async () => {
    const { client, listener, server } = await ask(request('Content-Length: 1000000000\r\n'));
    const upload = setInterval(() => client.write(Buffer.alloc(256 * 1024)), 1);
    client.once('close', () => clearInterval(upload));
    server.write(`${CHUNKED}5\r\nfirst\r\n`);
    await expect.poll(() => listener.received.toString()).toContain('first');
    await endSandbox();
    expect(await listener.ended).toBe('in order');
  });

  it('leaves a client that reads slowly the time to take it all', async () => {
    const { client, listener, server } = await ask(request());
    client.pause();
    server.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * MUCH}\r\n\r\n`);
    server.write(Buffer.alloc(MUCH, 'x'));
    await once(server, 'drain');
    await endSandbox();
    client.resume();
    expect(await listener.ended).toBe('in order');
    expect(listener.received.length).toBeGreaterThan(MUCH);
  });

  it('resets a client of HTTP/1.0, which would take it for whole', async () => {
    const { listener, server } = await ask(request('', '1.0'));
    server.write(`${CHUNKED}5\r\nfirst\r\n`);
    await expect.poll(() => listener.received.toString()).toContain('first');
    await endSandbox();
    expect(await listener.ended).toBe('ECONNRESET');
  });

  it('ends an encrypted connection in order', async () => {
    const client = connectTls({ port: edge.port, host: '127.0.0.1', rejectUnauthorized: false });
    const asked = once(sandbox, 'connection') as Promise<[Socket]>;
    client.write(request());
    const [server] = await asked;
    const listener = new Listener(client);
    server.write(`${CHUNKED}5\r\nfirst\r\n`);
    await expect.poll(() => listener.received.toString()).toContain('first');
    server.write('4\r\nlast\r\n');
    await endSandbox();
    expect(await listener.ended).toBe('in order');
    expect(listener.received.toString()).toContain('last');
  });

  it('resets the stream of HTTP/2 behind all that it had sent', async () => {
    const session = connectHttp2(`https://127.0.0.1:${edge.port}`, { rejectUnauthorized: false });
    try {
      const asked = once(sandbox, 'connection') as Promise<[Socket]>;
      const stream = session.request({ ':authority': host(), ':path': '/' });
      let received = 0;
      stream.on('data', (chunk) => {
        received += chunk.length;
      });
      stream.on('error', () => {});
      const [server] = await asked;
      server.write(`${CHUNKED}${MUCH.toString(16)}\r\n`);
      server.write(Buffer.alloc(MUCH));
      await once(server, 'drain');
      await endSandbox();
      await new Promise((resolve) => stream.once('close', resolve));
      expect([stream.rstCode, received]).toEqual([constants.NGHTTP2_INTERNAL_ERROR, MUCH]);
    } finally {
      session.destroy();
    }
  });

  it('ends a connection of another protocol in order, behind all that it had sent', async () => {
    const { listener, server } = await ask(request('Connection: Upgrade\r\nUpgrade: echo\r\n'));
    server.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst');
    await expect.poll(() => listener.received.toString()).toContain('first');
    server.write('last');
    await endSandbox();
    expect(await listener.ended).toBe('in order');
    expect(listener.received.toString()).toMatch(/firstlast$/);
  });
});

it('lets what came be read before a sandbox is saved, which goes on sending', async () => {
  const { listener, server } = await ask(request());
  server.write(`${CHUNKED}5\r\nfirst\r\n`);
  await expect.poll(() => listener.received.toString()).toContain('first');
  const goesOn = setInterval(() => server.write('4\r\nmore\r\n'), 1);
  server.once('close', () => clearInterval(goesOn));
  await edge.routes.put({ ...entry, state: 'pausing' });
  expect(await listener.ended).toBe('in order');
  await expect.poll(() => server.destroyed).toBe(true);
});

it('frees the connection of an upload that the sandbox does not take any more', async () => {
  const { client, listener, server } = await ask(request(`Content-Length: ${100 * MUCH}\r\n`));
  server.pause();
  server.write(`${CHUNKED}5\r\nfirst\r\n`);
  const flood = () => {
    while (client.write(Buffer.alloc(256 * 1024)) && !client.destroyed);
  };
  client.on('drain', flood);
  flood();
  await expect.poll(() => listener.received.toString()).toContain('first');
  await endSandbox();
  expect(await listener.ended).toBe('in order');
  server.resume();
  await expect.poll(() => server.destroyed).toBe(true);
});
