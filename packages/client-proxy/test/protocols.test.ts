import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { begin, openStream, PROTOCOLS } from './clients.ts';
import { Edge, sandboxRoute } from './edge.ts';
import { deferred, raw } from './http1.ts';

const ADDRESS = '127.0.0.33';
const TOKEN = 'd'.repeat(64);
const MIB = 1024 * 1024;
/** More than all buffers on the way hold. */
const MUCH = 40 * MIB;
let edge: Edge;
const entry = sandboxRoute(ADDRESS);
const hostOf = (port: number, route = entry) => `${port}-${route.sandboxId}.localhost`;

beforeAll(async () => {
  edge = await Edge.start();
  await edge.routes.put(entry);
});
afterAll(() => edge[Symbol.asyncDispose]());

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const piece of body) text += piece.toString();
  return text;
}

describe.each(PROTOCOLS)('%s', (protocol) => {
  it('passes server-sent events on as they come', async () => {
    const asked = deferred<ServerResponse>();
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      asked.resolve(response);
    });
    const { answer, body } = begin(protocol, edge, { host: hostOf(port) });
    body.end();
    const sandbox = await asked.promise;
    const { headers, body: events } = await answer;
    expect(headers['content-type']).toBe('text/event-stream');
    for (const event of ['data: 1\n\n', 'data: 2\n\n', ': beat\n\n']) {
      sandbox.write(event);
      expect(String((await once(events, 'data'))[0])).toBe(event);
    }
    sandbox.end();
    await once(events.resume(), 'end');
  });

  it('holds the sandbox up while a client does not read, and loses nothing', async () => {
    let written = 0;
    const { port } = await edge.serve(ADDRESS, async (_, response) => {
      response.writeHead(200, { 'content-length': MUCH });
      for (; written < MUCH; written += MIB) {
        if (!response.write(Buffer.alloc(MIB, written / MIB))) await once(response, 'drain');
      }
      response.end();
    });
    const { answer, body } = begin(protocol, edge, { host: hostOf(port) });
    body.end();
    const { body: received } = await answer;
    for (let last = -1; written !== last; await sleep(300)) last = written;
    expect(written).toBeLessThan(MUCH - 8 * MIB);
    let bytes = 0;
    for await (const piece of received) {
      expect(piece[0]).toBe(Math.floor(bytes / MIB));
      bytes += piece.length;
    }
    expect(bytes).toBe(MUCH);
  });

  it('answers a client that has long said all it has to say', async () => {
    const ended = deferred<ServerResponse>();
    const { port } = await edge.serve(ADDRESS, (incoming, response) => {
      incoming.resume().on('end', () => ended.resolve(response));
    });
    const { answer, body } = begin(protocol, edge, { host: hostOf(port), method: 'POST' });
    body.end('all');
    const response = await ended.promise;
    await sleep(100);
    response.end('late');
    expect(await textOf((await answer).body)).toBe('late');
  });

  it('passes an answer on that ends before the request does', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => response.end('enough'));
    const exchange = begin(protocol, edge, { host: hostOf(port), method: 'POST' });
    exchange.body.on('error', () => {});
    exchange.body.write('begun');
    expect(await textOf((await exchange.answer).body)).toBe('enough');
    exchange.abandon();
  });

  it('breaks an answer off, behind all of it, if the sandbox dies', async () => {
    const dying = sandboxRoute(ADDRESS);
    await edge.routes.put(dying);
    const asked = deferred<ServerResponse>();
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.write('first, ');
      asked.resolve(response);
    });
    const { answer, body } = begin(protocol, edge, { host: hostOf(port, dying) });
    body.end();
    const { body: received } = await answer;
    let text = '';
    received.on('data', (piece) => {
      text += piece;
    });
    const broken = new Promise((resolve) => {
      received.on('error', () => resolve('broken off'));
      received.on('end', () => resolve('whole'));
    });
    (await asked.promise).write('last');
    await edge.remove(dying);
    expect(await broken).toBe('broken off');
    expect(text).toBe('first, last');
  });

  it('ends the request in the sandbox when its client is gone', async () => {
    const gone = deferred<string>();
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.on('close', () => gone.resolve('gone'));
      response.write('begun');
    });
    const exchange = begin(protocol, edge, { host: hostOf(port) });
    exchange.body.on('error', () => {});
    exchange.body.end();
    const { body } = await exchange.answer;
    body.on('error', () => {});
    await once(body, 'data');
    exchange.abandon();
    expect(await gone.promise).toBe('gone');
  });

  it('asks for the traffic token, masks the host, and wakes', async () => {
    const closed = sandboxRoute(ADDRESS, {
      trafficAccessToken: TOKEN,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the mask's own placeholder
      ingress: { publicTraffic: false, maskRequestHost: 'app.test:${PORT}' },
    });
    const paused = { ...closed, state: 'paused' as const, wakes: true };
    await using waking = await Edge.start({
      wake: async (_, { trafficAccessToken }) =>
        trafficAccessToken === TOKEN
          ? { kind: 'resumed', route: { ...closed, executionId: 'awake', revision: 2 } }
          : { kind: 'refused' },
    });
    await waking.routes.put(paused);
    const { port } = await waking.serve(ADDRESS, (incoming, response) => {
      response.end(`${incoming.headers.host} ${incoming.headers['x-forwarded-host']}`);
    });
    const host = hostOf(port, closed);
    const ask = async (headers: Record<string, string>) => {
      const { answer, body } = begin(protocol, waking, { host, headers });
      body.end();
      return answer;
    };
    expect((await ask({})).status).toBe(403);
    const { status, body } = await ask({ 'e2b-traffic-access-token': TOKEN });
    expect(status).toBe(200);
    expect(await textOf(body)).toBe(`app.test:${port} ${host}`);
  });
});

it('takes a client of HTTP/1.1 that closes its side for gone', async () => {
  const gone = deferred<string>();
  const { port } = await edge.serve(ADDRESS, (_, response) => {
    response.on('close', () => gone.resolve('gone'));
  });
  const socket = connect({ port: edge.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(`GET / HTTP/1.1\r\nHost: ${hostOf(port)}\r\n\r\n`);
  expect(await textOf(socket)).toBe('');
  expect(await gone.promise).toBe('gone');
});

it.each(['P', 'PR', 'PRI * HTTP/'])('takes the preface of HTTP/2 in pieces, cut behind %j', async (first) => {
  const { port } = await edge.serve(ADDRESS, (_, response) => response.end('ok'));
  const socket = connect({ port: edge.port, host: '127.0.0.1', noDelay: true });
  socket.write(first);
  await sleep(50);
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.slice(first.length));
  // An empty SETTINGS frame; the answer begins with the server's.
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  const [piece] = await once(socket, 'data');
  expect(piece[3]).toBe(4);
  socket.destroy();
  // A method of HTTP/1.1 that begins alike.
  const answer = await raw(
    edge.port,
    `PRINT / HTTP/1.1\r\nHost: ${hostOf(port)}\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
});

/** A frame of WebSocket as a client sends it: masked, by nothing. */
function textFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

describe.each(['HTTP/2 over TLS', 'h2c'] as const)('a WebSocket over %s', (protocol) => {
  const headersFor = (port: number, extra: Record<string, string> = {}) => ({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': protocol === 'h2c' ? 'http' : 'https',
    ':path': '/chat?x=1',
    ':authority': hostOf(port),
    'sec-websocket-version': '13',
    ...extra,
  });

  it('goes through, and ends as it ends in the sandbox', async () => {
    const { server, port } = await edge.serve(ADDRESS, (_, response) => response.end('plain'));
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket, request) => {
      socket.send(`${socket.protocol} ${request.url}`);
      socket.on('message', (data) => socket.send(`re: ${data}`));
    });
    const stream = openStream(protocol, edge, headersFor(port, { 'sec-websocket-protocol': 'chat' }));
    // Before it is answered.
    stream.write(textFrame('early'));
    const [head] = await once(stream, 'response');
    expect(head).toMatchObject({ ':status': 200, 'sec-websocket-protocol': 'chat' });
    expect(head).not.toHaveProperty('sec-websocket-accept');
    let received = '';
    stream.on('data', (piece) => {
      received += piece.toString('latin1');
    });
    await expect
      .poll(() => received)
      .toBe('\x81\x10chat /chat?x=1\x81\x09re: early'.replace('\x10', String.fromCharCode(14)));
    for (const socket of sockets.clients) socket.close(1000);
    await expect.poll(() => received.endsWith('\x88\x02\x03\xe8')).toBe(true);
    stream.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
  });

  it('gets the sandbox’s refusal as an answer', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.writeHead(426);
      response.end('no');
    });
    const stream = openStream(protocol, edge, headersFor(port));
    const [head] = await once(stream, 'response');
    expect(head[':status']).toBe(426);
    expect(await textOf(stream)).toBe('no');
  });

  it('is refused if the server answers for another key, and for another protocol', async () => {
    const { server, port } = await edge.serve(ADDRESS, () => {});
    const ended = deferred<string>();
    server.on('upgrade', (_, socket) => {
      socket.write(
        'HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
      );
      socket.on('error', () => {});
      socket.on('close', () => ended.resolve('ended'));
      socket.on('end', () => socket.destroy()).resume();
    });
    const stream = openStream(protocol, edge, headersFor(port));
    expect((await once(stream, 'response'))[0][':status']).toBe(502);
    stream.close();
    expect(await ended.promise).toBe('ended');
    const other = openStream(protocol, edge, headersFor(port, { ':protocol': 'connect-udp' }));
    expect((await once(other, 'response'))[0][':status']).toBe(405);
    other.close();
  });

  it('is cut when its sandbox ends', async () => {
    const dying = sandboxRoute(ADDRESS);
    await edge.routes.put(dying);
    const { server, port } = await edge.serve(ADDRESS, () => {});
    new WebSocketServer({ server });
    const stream = openStream(protocol, edge, headersFor(port, { ':authority': hostOf(port, dying) }));
    await once(stream, 'response');
    await edge.remove(dying);
    await once(stream.resume(), 'end');
    stream.close();
  });
});
