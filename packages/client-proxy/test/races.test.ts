import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Route } from '@islet/catalog';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call, deferred, open } from './http1.ts';

const ADDRESS = '127.0.0.23';
let edge: Edge;
let entry = sandboxRoute(ADDRESS);
const hostOf = (port: number) => `${port}-${entry.sandboxId}.localhost`;
const get = (port: number) => `GET / HTTP/1.1\r\nHost: ${hostOf(port)}\r\n\r\n`;

beforeAll(async () => {
  edge = await Edge.start();
});
afterAll(() => edge[Symbol.asyncDispose]());
beforeEach(async () => {
  entry = sandboxRoute(ADDRESS);
  await edge.routes.put(entry);
});

/** A server in the sandbox that sees bytes and answers bytes. */
class RawServer {
  readonly sockets: Socket[] = [];
  readonly #server: Server;

  constructor(onConnection: (socket: Socket, index: number) => void) {
    this.#server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      this.sockets.push(socket);
      onConnection(socket, this.sockets.length - 1);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, ADDRESS, resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let servers: RawServer[] = [];
async function rawServer(onConnection: (socket: Socket, index: number) => void) {
  const server = new RawServer(onConnection);
  servers.push(server);
  return { server, port: await server.listen() };
}
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  servers = [];
});

describe('a sandbox that ends', () => {
  it('breaks off a stream that is under way', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
    });
    const socket = await open(edge.port);
    socket.write(get(port));
    await socket.until(/data: 1/);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await edge.remove(entry);
    await closed;
    await expect(socket.until(/\r\n0\r\n\r\n/)).rejects.toThrow('closed before');
  });

  it('becomes a 502 where no answer had begun', async () => {
    const asked = deferred<void>();
    const { port } = await edge.serve(ADDRESS, () => asked.resolve());
    const pending = call({ port: edge.port, host: hostOf(port) });
    await asked.promise;
    await edge.remove(entry);
    const answer = await pending;
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString()).message).toBe('The sandbox was not found');
  });

  it('becomes a 502 while its port is still being tried', async () => {
    const pending = call({ port: edge.port, host: hostOf(1) });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await edge.remove(entry);
    const answer = await pending;
    expect(JSON.parse(answer.body.toString()).message).toBe('The sandbox was not found');
  });

  it('is named as gone if its connections are reset in the same moment', async () => {
    const { port } = await rawServer((socket) => {
      socket.once('data', async () => {
        await edge.remove(entry);
        socket.resetAndDestroy();
      });
    });
    const answer = await call({ port: edge.port, host: hostOf(port) });
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString()).message).toBe('The sandbox was not found');
  });

  it('takes no more connections in that run, and a new run at the same address gets none of its', async () => {
    const { port, server } = await rawServer((socket) => {
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    });
    for (let i = 0; i < 3; i++)
      expect((await call({ port: edge.port, host: hostOf(port) })).status).toBe(200);
    expect(server.sockets.length).toBe(1);

    const next = sandboxRoute(ADDRESS);
    await edge.routes.put(next);
    const host = `${port}-${next.sandboxId}.localhost`;
    expect((await call({ port: edge.port, host })).status).toBe(200);
    expect(server.sockets.length).toBe(2);

    await edge.remove(entry);
    const refused = await call({ port: edge.port, host: hostOf(port) });
    expect(refused.status).toBe(502);
    expect(server.sockets.length).toBe(2);
    expect(server.sockets[1]?.destroyed).toBe(false);
  });

  it('is noticed by what came in its place, or by its pause', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.writeHead(200);
      response.write('begun');
    });
    for (const next of [{ executionId: 'the next run' }, { state: 'paused' as const }]) {
      entry = sandboxRoute(ADDRESS);
      await edge.routes.put(entry);
      const socket = await open(edge.port);
      socket.write(get(port));
      await socket.until(/begun/);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      await edge.routes.put({ ...entry, revision: 2, ...next });
      await closed;
    }
  });
});

describe('a server in the sandbox', () => {
  it('that closed a kept connection costs no request', async () => {
    const { port, server } = await rawServer((socket, index) => {
      socket.on('data', () => {
        // The first connection answers once and is cut by the second request.
        if (index === 0 && socket.bytesWritten > 0) socket.resetAndDestroy();
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    for (let i = 0; i < 3; i++) {
      const answer = await call({ port: edge.port, host: hostOf(port) });
      expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
    }
    expect(server.sockets.length).toBe(2);
  });

  it('never gets a request with a body twice', async () => {
    const bodies: string[] = [];
    const { port } = await rawServer((socket) => {
      socket.on('data', (chunk) => {
        const text = chunk.toString();
        if (!text.startsWith('POST')) {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
          return;
        }
        bodies.push(text);
        socket.resetAndDestroy();
      });
    });
    expect((await call({ port: edge.port, host: hostOf(port) })).status).toBe(200);
    const answer = await call({ port: edge.port, host: hostOf(port), method: 'POST', body: 'x' });
    expect([answer.status, answer.body.toString()]).toEqual([502, 'Failed to route request to sandbox']);
    expect(bodies.length).toBe(1);
  });

  it('that restarts between requests is reached again', async () => {
    const first = createHttpServer((_, response) => response.end('first'));
    await new Promise<void>((resolve) => first.listen(0, ADDRESS, resolve));
    const { port } = first.address() as AddressInfo;
    expect((await call({ port: edge.port, host: hostOf(port) })).body.toString()).toBe('first');
    first.closeAllConnections();
    await new Promise((resolve) => first.close(resolve));
    await edge.serve(ADDRESS, (_, response) => response.end('second'), port);
    expect((await call({ port: edge.port, host: hostOf(port) })).body.toString()).toBe('second');
  });

  it('that breaks off its answer breaks it off for the client', async () => {
    const { port } = await rawServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this'));
    });
    await expect(call({ port: edge.port, host: hostOf(port) })).rejects.toThrow();
  });

  it.each([
    'garbage\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
    'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx',
    'HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.0 200 OK\nX-A: a\n\nwith line feeds alone',
    'HTTP/1.0 200 OK\r\nX-Folded: a\r\n  b\r\n\r\nfolded',
    '',
  ])('that answers %j gives a 502', async (bytes) => {
    const { port } = await rawServer((socket) => {
      socket.once('data', () => socket.end(bytes, 'latin1'));
    });
    const answer = await call({ port: edge.port, host: hostOf(port) });
    expect([answer.status, answer.body.toString()]).toEqual([502, 'Failed to route request to sandbox']);
  });

  it('that answers before the request is complete is heard', async () => {
    const { port } = await rawServer((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig'));
    });
    const socket = await open(edge.port);
    socket.write(`POST / HTTP/1.1\r\nHost: ${hostOf(port)}\r\nContent-Length: 1000000\r\n\r\npart`);
    await socket.until(/413 Too Large[\s\S]*big/);
    socket.destroy();
  });
});

describe('a client that goes away', () => {
  it('in the middle of its upload ends the request in the sandbox', async () => {
    const aborted = deferred<void>();
    const began = deferred<void>();
    const { port } = await edge.serve(ADDRESS, (incoming) => {
      incoming.on('error', () => {});
      incoming.once('data', () => began.resolve());
      incoming.on('aborted', () => aborted.resolve());
    });
    const socket = await open(edge.port);
    socket.write(`POST / HTTP/1.1\r\nHost: ${hostOf(port)}\r\nContent-Length: 1000\r\n\r\npart`);
    await began.promise;
    socket.destroy();
    await aborted.promise;
  });

  it('in the middle of its answer ends it in the sandbox', async () => {
    const closed = deferred<boolean>();
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.on('close', () => closed.resolve(response.writableFinished));
      response.write('begun');
    });
    const socket = await open(edge.port);
    socket.write(get(port));
    await socket.until(/begun/);
    socket.destroy();
    expect(await closed.promise).toBe(false);
  });

  it('before an answer ends the request in the sandbox', async () => {
    const asked = deferred<void>();
    const closed = deferred<void>();
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.on('close', () => closed.resolve());
      asked.resolve();
    });
    const socket = await open(edge.port);
    socket.write(get(port));
    await asked.promise;
    socket.destroy();
    await closed.promise;
  });
});

it('lets exchanges under way end before a run is saved, cuts those that take longer, and serves the run again', async () => {
  let finish = () => {};
  const { port } = await edge.serve(ADDRESS, (request, response) => {
    response.write('begun');
    if (request.url === '/short') finish = () => response.end(' and ended');
    else if (request.url !== '/stay') response.end();
  });
  const stays = await open(edge.port);
  stays.write(`GET /stay HTTP/1.1\r\nHost: ${hostOf(port)}\r\n\r\n`);
  await stays.until(/begun/);
  const short = await open(edge.port);
  short.write(`GET /short HTTP/1.1\r\nHost: ${hostOf(port)}\r\n\r\n`);
  await short.until(/begun/);
  const cut = new Promise((resolve) => stays.once('close', resolve));
  await edge.routes.put({ ...entry, state: 'pausing' });
  finish();
  await short.until(/ and ended/);
  await cut;
  await edge.routes.put(entry);
  expect((await call({ port: edge.port, host: hostOf(port) })).status).toBe(200);
});

it('holds a request for a sandbox that is being snapshotted until it serves again', async () => {
  const { port } = await edge.serve(ADDRESS, (_, response) => response.end('served'));
  const put = (state: Route['state']) => edge.routes.put({ ...entry, state });
  await put('snapshotting');
  let answered = false;
  const answer = call({ port: edge.port, host: hostOf(port) }).finally(() => {
    answered = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(answered).toBe(false);
  await put('running');
  expect((await answer).status).toBe(200);
});

it('ends a connection with more requests waiting than it may have', async () => {
  const { port } = await edge.serve(ADDRESS, () => {});
  const socket = await open(edge.port);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(get(port).repeat(500));
  await closed;
});

it('limits the connections of a run, where told to', async () => {
  await using limited = await Edge.start({ connectionLimit: 1 });
  await limited.routes.put(entry);
  let asked = deferred<void>();
  let finish = () => {};
  const { port } = await limited.serve(ADDRESS, (_, response) => {
    finish = () => response.end('done');
    asked.resolve();
  });
  const first = call({ port: limited.port, host: hostOf(port) });
  await asked.promise;
  asked = deferred();
  const second = await call({ port: limited.port, host: hostOf(port) });
  expect(second.status).toBe(429);
  expect(JSON.parse(second.body.toString())).toMatchObject({
    sandboxId: entry.sandboxId,
    connectionLimit: 1,
    code: 429,
  });
  finish();
  expect((await first).status).toBe(200);
  const third = call({ port: limited.port, host: hostOf(port) });
  await asked.promise;
  finish();
  expect((await third).status).toBe(200);
});
