import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call, open, raw } from './http1.ts';

const ADDRESS = '127.0.0.22';
const MIB = 1024 * 1024;
const SIZE = 100 * MIB;

let edge: Edge;
const entry = sandboxRoute(ADDRESS);
const hostOf = (port: number) => `${port}-${entry.sandboxId}.localhost`;

beforeAll(async () => {
  edge = await Edge.start();
  await edge.routes.put(entry);
});
afterAll(() => edge[Symbol.asyncDispose]());

function begin(port: number, options: { method?: string; headers?: Record<string, string> } = {}) {
  const outgoing = request({
    host: '127.0.0.1',
    port: edge.port,
    method: options.method ?? 'GET',
    headers: { host: hostOf(port), ...options.headers },
    agent: false,
  });
  const answer = once(outgoing, 'response').then(([response]) => response as IncomingMessage);
  return { outgoing, answer };
}

describe('streams', () => {
  it('passes server-sent events on as they are written', async () => {
    let push: (text: string) => void = () => {};
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      push = (text) => response.write(text);
    });
    const { outgoing, answer } = begin(port);
    outgoing.end();
    const response = await answer;
    for (const event of ['data: one\n\n', 'data: two\n\n', 'data: three\n\n']) {
      // The next event is written only when the one before has arrived: nothing on the way may wait for more.
      const arrived = once(response, 'data');
      push(event);
      expect(String((await arrived)[0])).toBe(event);
    }
    outgoing.destroy();
  });

  it('passes both directions of one exchange at once', async () => {
    const { port } = await edge.serve(ADDRESS, (incoming, response) => {
      response.writeHead(200);
      response.flushHeaders();
      incoming.on('data', (chunk) => response.write(chunk));
      incoming.on('end', () => response.end());
    });
    const { outgoing, answer } = begin(port, { method: 'POST' });
    outgoing.flushHeaders();
    const response = await answer;
    for (const text of ['a', 'bb', 'ccc']) {
      const arrived = once(response, 'data');
      outgoing.write(text);
      expect(String((await arrived)[0])).toBe(text);
    }
    outgoing.end();
    response.resume();
    await once(response, 'end');
  });

  it('keeps trailers in both directions', async () => {
    const { port } = await edge.serve(ADDRESS, (incoming, response) => {
      incoming.resume();
      incoming.on('end', () => {
        response.writeHead(200, { trailer: 'x-sum' });
        response.write('body');
        response.addTrailers({ 'x-sum': `got ${incoming.trailers['x-up']}` });
        response.end();
      });
    });
    const { outgoing, answer } = begin(port, { method: 'POST', headers: { trailer: 'x-up' } });
    outgoing.write('x');
    outgoing.addTrailers({ 'x-up': '17' });
    outgoing.end();
    const response = await answer;
    response.resume();
    await once(response, 'end');
    expect(response.trailers).toEqual({ 'x-sum': 'got 17' });
  });

  it('keeps headers as they were written, repeated ones too', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.sendDate = false;
      response.writeHead(418, 'Short and Stout', [
        'X-MiXed',
        'a',
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'X-Lat',
        '\xe9',
      ]);
      response.end('t');
    });
    const answer = await call({ port: edge.port, host: hostOf(port) });
    expect([answer.status, answer.reason]).toEqual([418, 'Short and Stout']);
    expect(answer.rawHeaders).toEqual(
      expect.arrayContaining(['X-MiXed', 'a', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Lat', '\xe9']),
    );
    expect(answer.headers.date).toBeUndefined();
  });

  it('drops hop-by-hop headers both ways', async () => {
    let seen: string[] = [];
    const { port } = await edge.serve(ADDRESS, (incoming, response) => {
      seen = incoming.rawHeaders.map((text) => text.toLowerCase());
      response.writeHead(200, {
        Connection: 'x-mine',
        'X-Mine': '1',
        'Proxy-Authenticate': 'Basic',
        'X-Kept': '2',
      });
      response.end();
    });
    const answer = await call({
      port: edge.port,
      host: hostOf(port),
      headers: {
        Connection: 'x-secret, close',
        'X-Secret': '1',
        'Keep-Alive': 'timeout=1',
        'Proxy-Authorization': 'Basic x',
        TE: 'trailers, deflate',
        'X-Kept': '2',
      },
    });
    expect(seen).toContain('x-kept');
    expect(seen.slice(seen.indexOf('te'), seen.indexOf('te') + 2)).toEqual(['te', 'trailers']);
    for (const name of ['x-secret', 'keep-alive', 'proxy-authorization']) expect(seen).not.toContain(name);
    expect(answer.headers['x-kept']).toBe('2');
    expect(answer.headers['x-mine']).toBeUndefined();
    expect(answer.headers['proxy-authenticate']).toBeUndefined();
  });

  it('answers HEAD, 204 and 304 without a body and with the announced length', async () => {
    const { port } = await edge.serve(ADDRESS, (incoming, response) => {
      if (incoming.url === '/204') response.writeHead(204);
      else if (incoming.url === '/304') response.writeHead(304, { 'content-length': '55', etag: '"x"' });
      else response.writeHead(200, { 'content-length': '12345' });
      response.end();
    });
    const host = hostOf(port);
    const head = await call({ port: edge.port, host, method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '12345', 0]);
    expect((await call({ port: edge.port, host, path: '/204' })).status).toBe(204);
    const unchanged = await call({ port: edge.port, host, path: '/304' });
    expect([unchanged.status, unchanged.headers.etag]).toEqual([304, '"x"']);
  });

  it('passes OPTIONS through and adds no CORS of its own', async () => {
    const { port } = await edge.serve(ADDRESS, (incoming, response) => {
      response.writeHead(200, { 'x-method': incoming.method ?? '' });
      response.end();
    });
    const headers = { origin: 'http://x', 'access-control-request-method': 'POST' };
    const answer = await call({ port: edge.port, host: hostOf(port), method: 'OPTIONS', headers });
    expect(answer.headers['x-method']).toBe('OPTIONS');
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('leaves 100-continue to the sandbox', async () => {
    const { server, port } = await edge.serve(ADDRESS, () => {});
    server.on('checkContinue', (incoming, response) => {
      if (incoming.url === '/no') {
        response.writeHead(413, { 'content-length': 0 });
        response.end();
        return;
      }
      response.writeContinue();
      incoming.pipe(response);
    });
    const yes = begin(port, { method: 'POST', headers: { expect: '100-continue', 'content-length': '3' } });
    yes.outgoing.flushHeaders();
    await once(yes.outgoing, 'continue');
    yes.outgoing.end('abc');
    const [body] = await once(await yes.answer, 'data');
    expect(String(body)).toBe('abc');

    const refused = await raw(
      edge.port,
      `POST /no HTTP/1.1\r\nHost: ${hostOf(port)}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n`,
    );
    expect(refused).toMatch(/^HTTP\/1\.1 413 /);
    expect(refused.toLowerCase()).toContain('connection: close');
  });

  it('passes early hints on', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' });
      response.end('x');
    });
    const { outgoing, answer } = begin(port);
    const hints = once(outgoing, 'information');
    outgoing.end();
    const [info] = await hints;
    expect(info).toMatchObject({ statusCode: 103, headers: { link: '</a.css>; rel=preload; as=style' } });
    (await answer).resume();
  });

  it('answers pipelined requests in order', async () => {
    const { port } = await edge.serve(ADDRESS, (incoming, response) => {
      const slow = incoming.url === '/1';
      setTimeout(() => response.end(`<${incoming.url}>`), slow ? 50 : 0);
    });
    const host = hostOf(port);
    const requests = [1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: ${host}\r\n`);
    const answer = await raw(edge.port, `${requests.join('\r\n')}Connection: close\r\n\r\n`);
    expect(answer.match(/<\/\d>/g)).toEqual(['</1>', '</2>', '</3>']);
  });

  it('serves HTTP/1.0 clients a body that ends with the connection', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.write('part one, ');
      response.end('part two');
    });
    const answer = await raw(edge.port, `GET / HTTP/1.0\r\nHost: ${hostOf(port)}\r\n\r\n`);
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer.endsWith('part one, part two')).toBe(true);
  });

  it('keeps a client connection open between requests', async () => {
    const { port } = await edge.serve(ADDRESS, (_, response) => response.end('ok'));
    const socket = await open(edge.port);
    for (let i = 1; i <= 3; i++) {
      socket.write(`GET / HTTP/1.1\r\nHost: ${hostOf(port)}\r\n\r\n`);
      await socket.until(new RegExp(`(?:HTTP/1\\.1 200 [\\s\\S]*?\\r\\n\\r\\n[\\s\\S]*?ok[\\s\\S]*?){${i}}`));
    }
    socket.destroy();
  });
});

describe('100 MB', () => {
  const block = Buffer.allocUnsafe(MIB);
  randomFillSync(block);
  const expected = (() => {
    const hash = createHash('sha256');
    for (let sent = 0; sent < SIZE; sent += MIB) hash.update(block);
    return hash.digest('hex');
  })();

  it('arrive whole at a slow client, without being held in between', async () => {
    let written = 0;
    const { port } = await edge.serve(ADDRESS, async (_, response) => {
      response.writeHead(200, { 'content-length': SIZE });
      for (; written < SIZE; written += MIB) {
        if (!response.write(block)) await once(response, 'drain');
      }
      response.end();
    });
    const { outgoing, answer } = begin(port);
    outgoing.end();
    const response = await answer;
    const hash = createHash('sha256');
    let received = 0;
    let worstGap = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      hash.update(chunk);
      received += chunk.length;
      worstGap = Math.max(worstGap, written - received);
      if (received < 4 * MIB) await turn();
    }
    expect(received).toBe(SIZE);
    expect(hash.digest('hex')).toBe(expected);
    // What is written and not received is in buffers: of sockets, the kernel and the proxy.
    expect(worstGap).toBeLessThan(32 * MIB);
  });

  it('are not read from the sandbox while the client does not read', async () => {
    let written = 0;
    const { port } = await edge.serve(ADDRESS, (_, response) => {
      response.writeHead(200, { 'content-length': SIZE });
      const pump = (): void => {
        while (written < SIZE && !response.destroyed) {
          written += MIB;
          if (!response.write(block)) return;
        }
      };
      response.on('drain', pump);
      pump();
    });
    const { outgoing, answer } = begin(port);
    outgoing.end();
    const response = await answer;
    response.pause();
    let last = -1;
    while (written !== last) {
      last = written;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(written).toBeLessThan(48 * MIB);
    outgoing.destroy();
  });

  it.each(['length', 'chunked'])('go up whole with flat memory, framed by %s', async (framing) => {
    const { port } = await edge.serve(ADDRESS, async (incoming, response) => {
      const hash = createHash('sha256');
      for await (const chunk of incoming) hash.update(chunk);
      response.end(hash.digest('hex'));
    });
    const headers: Record<string, string> = framing === 'length' ? { 'content-length': String(SIZE) } : {};
    const { outgoing, answer } = begin(port, { method: 'POST', headers });
    const before = process.memoryUsage.rss();
    let peak = before;
    for (let sent = 0; sent < SIZE; sent += MIB) {
      if (!outgoing.write(block)) await once(outgoing, 'drain');
      peak = Math.max(peak, process.memoryUsage.rss());
    }
    outgoing.end();
    const [hash] = await once(await answer, 'data');
    expect(String(hash)).toBe(expected);
    expect(peak - before).toBeLessThan(80 * MIB);
  });
});
