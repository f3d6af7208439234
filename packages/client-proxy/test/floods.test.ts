import { once } from 'node:events';
import { request, type ServerResponse } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { type Carrier, END_HEADERS, END_STREAM, Frame, FrameClient, frame, getHead } from './frames.ts';
import { call } from './http1.ts';

const ADDRESS = '127.0.0.27';
const MIB = 1024 * 1024;
let edge: Edge;
let port: number;
let host: string;
/** Requests that reached the sandbox, and the answers that it writes without end. */
let requests = 0;
const endless = new Set<ServerResponse>();
let written = 0;
const entry = sandboxRoute(ADDRESS);
const other = sandboxRoute(ADDRESS);

beforeAll(async () => {
  edge = await Edge.start();
  await edge.routes.put(entry);
  await edge.routes.put(other);
  const block = Buffer.alloc(64 * 1024, 'x');
  const served = await edge.serve(ADDRESS, (incoming, response) => {
    requests++;
    if (incoming.url !== '/' || incoming.method !== 'GET') {
      incoming.resume();
      incoming.on('end', () => response.end('small'));
      return;
    }
    endless.add(response);
    response.on('close', () => endless.delete(response));
    const pump = (): void => {
      while (!response.destroyed) {
        written += block.length;
        if (!response.write(block)) break;
      }
    };
    response.on('drain', pump);
    pump();
  });
  port = served.port;
  host = `${port}-${entry.sandboxId}.localhost`;
});
afterAll(() => edge[Symbol.asyncDispose]());

/** What another sandbox's clients get meanwhile. */
async function servesOthers(): Promise<void> {
  const otherHost = `${port}-${other.sandboxId}.localhost`;
  expect((await call({ port: edge.port, host: otherHost, path: '/small' })).body.toString()).toBe('small');
}

/** Waits until what grows grows no more, since nothing takes it. */
async function untilStill(size: () => number): Promise<void> {
  for (let last = -1; last !== size(); ) {
    last = size();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** A thousand of the same frame at once. */
function many(one: Buffer): () => Buffer {
  const all = Buffer.concat(Array.from({ length: 1000 }, () => one));
  return () => all;
}

const more = many(frame(Frame.continuation, 0, 1, Buffer.from([0, 1, 97, 1, 97])));
const endlessHead = (n: number) => (n === 0 ? frame(Frame.headers, 0, 1, getHead('GET', 'x')) : more());

describe.each<Carrier>(['TLS', 'plain TCP'])('an HTTP/2 client over %s', (carrier) => {
  it('is cut off if it resets streams as fast as it opens them', async () => {
    using client = await FrameClient.connect(edge.port, { carrier });
    const before = requests;
    const head = getHead('POST', host);
    const cancel = Buffer.from([0, 0, 0, 8]);
    await client.flood(6_000, (n) => {
      const stream = 2 * n + 1;
      const open = frame(Frame.headers, END_HEADERS | END_STREAM, stream, head);
      return Buffer.concat([open, frame(Frame.reset, 0, stream, cancel)]);
    });
    await expect.poll(() => client.closed).toBe(true);
    expect(requests - before).toBeLessThan(3000);
    await servesOthers();
  });

  it.each([
    ['heads that do not end', endlessHead],
    ['settings', many(frame(Frame.settings, 0, 0, Buffer.alloc(0)))],
    ['pings', many(frame(Frame.ping, 0, 0, Buffer.alloc(8)))],
  ])('is cut off or held up if it sends %s and reads nothing', async (_, make) => {
    using client = await FrameClient.connect(edge.port, { carrier });
    client.socket.pause();
    const before = process.memoryUsage.rss();
    const flood = client.flood(10_000, make);
    await untilStill(() => client.sent);
    expect(client.sent).toBeLessThan(10_000);
    expect(process.memoryUsage.rss() - before).toBeLessThan(128 * MIB);
    await servesOthers();
    client.socket.destroy();
    await flood;
  });

  it('gets 431 or a reset for a head of too many fields', async () => {
    const session = connectHttp2(`${carrier === 'TLS' ? 'https' : 'http'}://127.0.0.1:${edge.port}`, {
      rejectUnauthorized: false,
    });
    session.on('error', () => {});
    const fields = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x-${n}`, 'a']));
    const stream = session.request({ ':authority': host, ':path': '/small', ...fields });
    const outcome = await Promise.race([
      once(stream, 'response').then(([headers]) => headers[':status']),
      once(stream, 'error').then(() => 'reset'),
      once(stream, 'close').then(() => 'closed'),
    ]).catch(() => 'reset');
    expect([431, 'reset', 'closed']).toContain(outcome);
    session.destroy();
    await servesOthers();
  });

  it('that reads nothing of many endless answers holds up what sends them', async () => {
    written = 0;
    const before = process.memoryUsage.rss();
    using client = await FrameClient.connect(edge.port, { carrier, windowBytes: 0 });
    const head = getHead('GET', host);
    await client.flood(16, (n) => frame(Frame.headers, END_HEADERS | END_STREAM, 2 * n + 1, head));
    await expect.poll(() => endless.size).toBe(16);
    await untilStill(() => written);
    await servesOthers();
    // The sandbox's side is in this process too: what it could not write is in its own buffers.
    expect(process.memoryUsage.rss() - before).toBeLessThan(192 * MIB);
    client.socket.destroy();
    await expect.poll(() => endless.size).toBe(0);
  });
});

describe('an HTTP/1.1 client', () => {
  it('that reads nothing on many connections holds up what sends to it', async () => {
    written = 0;
    const sockets: Socket[] = [];
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 8; i++) {
      const socket = connect(edge.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.pause();
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      sockets.push(socket);
    }
    await expect.poll(() => endless.size).toBe(8);
    await untilStill(() => written);
    await servesOthers();
    expect(process.memoryUsage.rss() - before).toBeLessThan(192 * MIB);
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => endless.size).toBe(0);
  });

  it('is cut off if it sends ever more requests before one is answered', async () => {
    const socket = connect(edge.port, '127.0.0.1');
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const next = `GET / HTTP/1.1\r\nHost: ${host}\r\nX-Large: ${'a'.repeat(30_000)}\r\n\r\n`;
    socket.resume();
    for (let i = 0; i < 20; i++) socket.write(next);
    await closed;
    await servesOthers();
  });

  it('gets 431 for a head of too many fields', async () => {
    const headers = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`x-${n}`, 'a']));
    expect((await call({ port: edge.port, host, path: '/small', headers })).status).toBe(431);
  });
});

it('holds a client up that sends more than the sandbox reads', async () => {
  const unread = new Set<Socket>();
  const deaf = createServer({ pauseOnConnect: true }, (socket) => unread.add(socket));
  await new Promise<void>((resolve) => deaf.listen(0, ADDRESS, resolve));
  const deafPort = (deaf.address() as AddressInfo).port;
  const headers = { host: `${deafPort}-${entry.sandboxId}.localhost` };
  const outgoing = request({ host: '127.0.0.1', port: edge.port, method: 'POST', headers, agent: false });
  outgoing.on('error', () => {});
  const block = Buffer.alloc(MIB);
  const before = process.memoryUsage.rss();
  // What was taken has left this client's own buffer.
  const send = (): void => {
    outgoing.write(block, (error) => {
      if (error) return;
      written += MIB;
      if (written < 200 * MIB) send();
    });
  };
  written = 0;
  send();
  await untilStill(() => written);
  expect([unread.size, written > 0, outgoing.destroyed]).toEqual([1, true, false]);
  expect(written).toBeLessThan(48 * MIB);
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 * MIB);
  outgoing.destroy();
  for (const socket of unread) socket.destroy();
  await new Promise((resolve) => deaf.close(resolve));
});

describe('with few connections', () => {
  it('a client that holds many unused ones loses them to those who ask for something', async () => {
    await using small = await Edge.start({ connections: { total: 8, perClient: 8 } });
    await small.routes.put(entry);
    const silent = Array.from({ length: 20 }, () => connect(small.port, '127.0.0.1'));
    let closed = 0;
    for (const socket of silent) {
      socket.on('error', () => {});
      socket.on('close', () => closed++);
    }
    await expect.poll(() => closed).toBeGreaterThanOrEqual(12);
    expect((await call({ port: small.port, host, path: '/small' })).status).toBe(200);
    for (const socket of silent) socket.destroy();
  });

  it('encrypted ones that are unused are closed as plain ones are, and those in use are not', async () => {
    await using small = await Edge.start({ connections: { total: 2, perClient: 2 } });
    await small.routes.put(entry);
    using unused = await FrameClient.connect(small.port);
    using used = await FrameClient.connect(small.port);
    await used.flood(1, () => frame(Frame.headers, END_HEADERS | END_STREAM, 1, getHead('GET', host)));
    await expect.poll(() => endless.size).toBe(1);
    expect((await call({ port: small.port, host, path: '/small' })).status).toBe(200);
    await expect.poll(() => unused.closed).toBe(true);
    expect([used.closed, endless.size]).toEqual([false, 1]);
    used.socket.destroy();
    await expect.poll(() => endless.size).toBe(0);
  });

  it('says 503 while all are in use, and keeps those that are', async () => {
    await using small = await Edge.start({ connections: { total: 3, perClient: 3 } });
    await small.routes.put(entry);
    using client = await FrameClient.connect(small.port);
    await client.flood(1, () => frame(Frame.headers, END_HEADERS | END_STREAM, 1, getHead('GET', host)));
    const plain = request({ host: '127.0.0.1', port: small.port, path: '/', headers: { host } });
    plain.on('error', () => {});
    plain.end();
    const [answer] = await once(plain, 'response');
    const upgrade = connect(small.port, '127.0.0.1');
    upgrade.on('error', () => {});
    upgrade.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`);
    await once(upgrade, 'data');
    await expect.poll(() => endless.size).toBe(3);
    const refused = await call({ port: small.port, host, path: '/small' });
    expect([refused.status, refused.body.toString()]).toEqual([
      503,
      expect.stringContaining('Too many connections'),
    ]);
    expect(endless.size).toBe(3);
    upgrade.destroy();
    await expect.poll(() => endless.size).toBe(2);
    expect((await call({ port: small.port, host, path: '/small' })).status).toBe(200);
    answer.destroy();
    plain.destroy();
  });

  it('one sandbox with many requests gets 429, and another goes on', async () => {
    await using small = await Edge.start({ places: { total: 1000, perRun: 3 } });
    await small.routes.put(entry);
    await small.routes.put(other);
    const busy = Array.from({ length: 3 }, () => {
      const outgoing = request({ host: '127.0.0.1', port: small.port, headers: { host }, agent: false });
      outgoing.on('error', () => {});
      outgoing.end();
      return outgoing;
    });
    await expect.poll(() => endless.size).toBe(3);
    const refused = await call({ port: small.port, host, path: '/small' });
    expect([refused.status, JSON.parse(refused.body.toString())]).toMatchObject([
      429,
      { connectionLimit: 3, code: 429 },
    ]);
    const otherHost = `${port}-${other.sandboxId}.localhost`;
    expect((await call({ port: small.port, host: otherHost, path: '/small' })).status).toBe(200);
    for (const outgoing of busy) outgoing.destroy();
    await expect.poll(() => endless.size).toBe(0);
    expect((await call({ port: small.port, host, path: '/small' })).status).toBe(200);
  });
});
