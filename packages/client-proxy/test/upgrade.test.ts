import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Edge, sandboxRoute } from './edge.ts';
import { open, raw } from './http1.ts';

const ADDRESS = '127.0.0.25';
let edge: Edge;
const entry = sandboxRoute(ADDRESS);
const hostOf = (port: number) => `${port}-${entry.sandboxId}.localhost`;
const connectTo = (port: number, protocols: string[] = []) =>
  new WebSocket(`ws://127.0.0.1:${edge.port}/chat?x=1`, protocols, { headers: { host: hostOf(port) } });

beforeAll(async () => {
  edge = await Edge.start();
  await edge.routes.put(entry);
});
afterAll(() => edge[Symbol.asyncDispose]());

async function serveSockets(onConnection: (socket: WebSocket, url: string) => void) {
  const { server, port } = await edge.serve(ADDRESS, (_, response) => response.end('plain'));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => onConnection(socket, request.url ?? ''));
  return { port, sockets };
}

describe('WebSocket', () => {
  it('goes through with its protocol, path, text, binary and close code', async () => {
    const { port } = await serveSockets((socket, url) => {
      socket.send(`${socket.protocol} ${url}`);
      socket.on('message', (data, binary) => socket.send(data, { binary }));
    });
    const socket = connectTo(port, ['vite-hmr']);
    expect(String((await once(socket, 'message'))[0])).toBe('vite-hmr /chat?x=1');
    const big = Buffer.alloc(3_000_000, 7);
    socket.send(big);
    const [echo, binary] = await once(socket, 'message');
    expect(binary).toBe(true);
    expect(big.equals(echo)).toBe(true);
    socket.close(4001, 'bye');
    expect((await once(socket, 'close'))[0]).toBe(4001);
  });

  it('passes pings', async () => {
    const { port, sockets } = await serveSockets(() => {});
    const socket = connectTo(port);
    await once(socket, 'open');
    socket.ping('x');
    expect(String((await once(socket, 'pong'))[0])).toBe('x');
    for (const client of sockets.clients) client.terminate();
    await once(socket, 'close');
  });

  it('gets the sandbox’s refusal as an ordinary answer', async () => {
    const { server, port } = await edge.serve(ADDRESS, () => {});
    server.on('upgrade', (_, socket) =>
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno'),
    );
    const socket = connectTo(port);
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(401);
    socket.on('error', () => {});
    socket.terminate();
  });

  it('gets 502 if the sandbox or the port is not there', async () => {
    for (const host of ['3000-ixxxxxxxxxxxxxxxxxxxx.localhost', `1-${entry.sandboxId}.localhost`]) {
      const answer = await raw(
        edge.port,
        `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 502 /);
      expect(answer.toLowerCase()).toContain('connection: close');
    }
  });

  it('is cut when the run ends', async () => {
    const run = sandboxRoute(ADDRESS);
    await edge.routes.put(run);
    const { port } = await serveSockets(() => {});
    const socket = new WebSocket(`ws://127.0.0.1:${edge.port}`, {
      headers: { host: `${port}-${run.sandboxId}.localhost` },
    });
    await once(socket, 'open');
    socket.on('error', () => {});
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    await edge.remove(run);
    expect(await closed).toBe(1006);
  });

  it('ends in the sandbox when the client is gone', async () => {
    const gone = new Promise<void>((resolve) => {
      void serveSockets((socket) => socket.on('close', () => resolve())).then(async ({ port }) => {
        const socket = connectTo(port);
        await once(socket, 'open');
        socket.terminate();
      });
    });
    await gone;
  });
});

it('tunnels any protocol, early bytes of both sides included', async () => {
  const { server, port } = await edge.serve(ADDRESS, () => {});
  server.on('upgrade', (request, socket, head) => {
    socket.write(
      `HTTP/1.1 101 Go\r\nUpgrade: ${request.headers.upgrade}\r\nConnection: Upgrade\r\n\r\nhello `,
    );
    if (head.length > 0) socket.write(`[${head}]`);
    socket.on('data', (chunk) => socket.write(`[${chunk}]`));
    socket.on('end', () => socket.end());
  });
  const socket = await open(edge.port);
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${hostOf(port)}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: my-protocol/2\r\n\r\nearly`,
  );
  await socket.until(/101 Go[\s\S]*Upgrade: my-protocol\/2[\s\S]*hello \[early\]/);
  socket.write('more');
  await socket.until(/\[more\]/);
  socket.end();
  await once(socket, 'close');
});

it('does not let a refused upgrade open a way around the checks', async () => {
  const { port } = await edge.serve(ADDRESS, (_, response) => response.end('plain'));
  const answer = await raw(
    edge.port,
    `GET / HTTP/1.1\r\nHost: ${hostOf(port)}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n` +
      `POST /second HTTP/1.1\r\nHost: ${hostOf(port)}\r\nContent-Length: 0\r\n\r\n`,
  );
  expect(answer.match(/HTTP\/1\.1 \d\d\d/g)).toEqual(['HTTP/1.1 200']);
  expect(answer.toLowerCase()).toContain('connection: close');
});

it('serves a request with a body that offers to upgrade as an ordinary one, and goes on', async () => {
  const { port } = await edge.serve(ADDRESS, (request, response) => {
    const offered = request.headers.upgrade ?? 'none';
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => response.end(`<${request.method} ${body} ${offered}>`));
  });
  const socket = await open(edge.port);
  socket.write(
    `POST / HTTP/1.1\r\nHost: ${hostOf(port)}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 8\r\n\r\nhalf`,
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write('rest');
  await socket.until(/<POST halfrest none>/);
  socket.write(
    `POST /2 HTTP/1.1\r\nHost: ${hostOf(port)}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
  );
  await socket.until(/<POST x none>/);
  socket.destroy();
});

it.each([
  'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  'Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx',
])('ends a connection that asks for %j before its last request is answered, and goes on', async (fields) => {
  const { port } = await edge.serve(ADDRESS, (_, response) => setTimeout(() => response.end('late'), 50));
  const host = `Host: ${hostOf(port)}\r\n`;
  const answer = await raw(edge.port, `GET /1 HTTP/1.1\r\n${host}\r\nPOST /2 HTTP/1.1\r\n${host}${fields}`);
  expect(answer).toBe('');
  const connect = await raw(edge.port, `GET /1 HTTP/1.1\r\n${host}\r\nCONNECT x:1 HTTP/1.1\r\n${host}\r\n`);
  expect(connect).toBe('');
  expect((await raw(edge.port, `GET / HTTP/1.0\r\n${host}\r\n`)).endsWith('late')).toBe(true);
});

it('keeps both ends in step: a reader that is slow slows the writer', async () => {
  let written = 0;
  const server = createServer();
  server.on('upgrade', (_, socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
    const block = Buffer.alloc(1024 * 1024);
    const pump = () => {
      while (written < 200 && !socket.destroyed) {
        written++;
        if (!socket.write(block)) return socket.once('drain', pump);
      }
      return undefined;
    };
    pump();
  });
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve));
  const { port } = server.address() as AddressInfo;
  const socket = await open(edge.port);
  socket.write(`GET / HTTP/1.1\r\nHost: ${hostOf(port)}\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`);
  await socket.until(/101 Go/);
  socket.pause();
  let last = -1;
  while (written !== last) {
    last = written;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  expect(written).toBeLessThan(60);
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});
