import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { send } from '../setup/http.ts';
import { until } from '../setup/until.ts';
import { newSandbox, rejection, sharedSandbox } from './sandbox.ts';
import { startServer } from './server.ts';

const sandbox = sharedSandbox();
const url = (port: number, path = '/') => `http://${sandbox.current.getHost(port)}${path}`;
const BROWSER = { 'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0', Accept: 'text/html,*/*' };

describe('getHost', () => {
  it('names port and sandbox', () => {
    expect(sandbox.current.getHost(3_000)).toMatch(
      new RegExp(`^3000-${sandbox.current.sandboxId}\\.islet\\.localhost:\\d+$`),
    );
  });
});

describe('an HTTP server in the sandbox', () => {
  it('gets method, path, query, headers and body as they were sent', async () => {
    await startServer(sandbox.current, { port: 3_000 });
    const answer = await fetch(url(3_000, '/echo/a%20b?x=1&x=2'), {
      method: 'PATCH',
      headers: { 'X-Mine': 'kept', 'Content-Type': 'text/x-mine' },
      body: 'body ü',
    });
    expect(answer.status).toBe(200);
    const echoed = (await answer.json()) as { method: string; url: string; headers: object; body: string };
    expect(echoed).toMatchObject({
      method: 'PATCH',
      url: '/echo/a%20b?x=1&x=2',
      headers: { host: sandbox.current.getHost(3_000), 'x-mine': 'kept', 'content-type': 'text/x-mine' },
      body: 'body ü',
    });
    expect(Object.keys(echoed.headers).filter((name) => name.startsWith('x-forwarded'))).toEqual([]);
  });

  it.each([201, 204, 304, 404, 500])('answers with %i as it is', async (status) => {
    const answer = await fetch(url(3_000, `/status/${status}`), { redirect: 'manual' });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('x-answered')).toBe('by the sandbox');
    await answer.text();
  });

  it('redirects, sets several cookies and answers HEAD', async () => {
    const redirect = await fetch(url(3_000, '/redirect'), { redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('location')]).toEqual([302, '/echo']);
    expect(redirect.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    const head = await fetch(url(3_000, '/status/200'), { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('is reached if it listens on 127.0.0.1 or ::1 only', async () => {
    await startServer(sandbox.current, { port: 3_001, host: '127.0.0.1' });
    await startServer(sandbox.current, { port: 3_002, host: '::1' });
    for (const port of [3_001, 3_002]) {
      const answer = await until(
        `port ${port} answers`,
        10_000,
        () => fetch(url(port, '/echo')),
        ({ status }) => status === 200,
      );
      expect(await answer.json()).toMatchObject({ url: '/echo' });
    }
  });

  it('serves 100 requests at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        fetch(url(3_000, `/echo?n=${index}`)).then((answer) => answer.json()),
      ),
    );
    expect(answers.map((answer) => (answer as { url: string }).url)).toEqual(
      Array.from({ length: 100 }, (_, index) => `/echo?n=${index}`),
    );
  });

  it('may be another on the same port a moment later', async () => {
    const first = await startServer(sandbox.current, { port: 3_003, name: 'first' });
    expect(await (await fetch(url(3_003, '/name'))).text()).toBe('first');
    await first.kill();
    await rejection(first.wait());
    await startServer(sandbox.current, { port: 3_003, name: 'second' });
    expect(await (await fetch(url(3_003, '/name'))).text()).toBe('second');
  });
});

describe('streams', () => {
  it('of server-sent events come one by one', async () => {
    const answer = await fetch(url(3_000, '/events'));
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    const reader = (answer.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    // The server sends the next event only when it is asked to, on another connection.
    for (const event of ['one', 'two', 'three']) {
      await fetch(url(3_000, `/emit?${event}`), { method: 'POST' });
      expect((await reader.read()).value).toBe(`data: ${event}\n\n`);
    }
    await reader.cancel();
  });

  it('of 50 MB come down unchanged', async () => {
    const answer = await fetch(url(3_000, '/download?52428800'));
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      size += chunk.length;
    }
    expect(size).toBe(52_428_800);
    const { sha256 } = (await (await fetch(url(3_000, '/downloaded'))).json()) as { sha256: string };
    expect(hash.digest('hex')).toBe(sha256);
  });

  it('of 50 MB go up unchanged', async () => {
    const block = randomBytes(1_048_576);
    const hash = createHash('sha256');
    for (let count = 0; count < 50; count++) hash.update(block);
    const body = Readable.from(
      (function* () {
        for (let count = 0; count < 50; count++) yield block;
      })(),
    );
    const answer = await fetch(url(3_000, '/upload'), {
      method: 'POST',
      body: Readable.toWeb(body) as ReadableStream,
      duplex: 'half',
    } as RequestInit);
    expect(await answer.json()).toEqual({ size: 52_428_800, sha256: hash.digest('hex') });
  });

  it('go both ways at once', async () => {
    const { hostname, port } = new URL(url(3_000));
    const outgoing = request({
      hostname,
      port,
      path: '/mirror',
      method: 'POST',
      headers: { Host: sandbox.current.getHost(3_000) },
    });
    const answered = new Promise<AsyncIterator<Buffer>>((resolve, reject) => {
      outgoing.on('response', (incoming) => resolve(incoming[Symbol.asyncIterator]()));
      outgoing.on('error', reject);
    });
    outgoing.write('ping 0');
    const answer = await answered;
    expect(String((await answer.next()).value)).toBe('ping 0');
    for (const text of ['ping 1', 'ping 2']) {
      outgoing.write(text);
      expect(String((await answer.next()).value)).toBe(text);
    }
    outgoing.end();
    expect((await answer.next()).done).toBe(true);
  });
});

describe('a WebSocket', () => {
  const connect = () =>
    new Promise<WebSocket>((resolve, reject) => {
      const socket = new WebSocket(`ws://${sandbox.current.getHost(3_000)}/socket`, 'mine');
      socket.once('open', () => resolve(socket));
      socket.once('error', reject);
    });
  const next = (socket: WebSocket) =>
    new Promise<Buffer>((resolve) => socket.once('message', (data) => resolve(data as Buffer)));

  it('carries text and bytes both ways, and its protocol', async () => {
    const socket = await connect();
    expect(socket.protocol).toBe('mine');
    for (const message of ['hello ü🏝', '', 'x'.repeat(60_000)]) {
      const answer = next(socket);
      socket.send(message);
      expect((await answer).toString()).toBe(message);
    }
    const bytes = randomBytes(1_000_000);
    const answer = next(socket);
    socket.send(bytes);
    expect(Buffer.compare(await answer, bytes)).toBe(0);
    const closed = new Promise((resolve) => socket.once('close', (code) => resolve(code)));
    socket.close(4_001);
    expect(await closed).toBe(4_001);
  });

  it('is refused with the server’s own answer', async () => {
    const refused = new Promise((resolve) => {
      const socket = new WebSocket(`ws://${sandbox.current.getHost(3_000)}/no-socket`);
      socket.once('unexpected-response', (_, answer) => resolve(answer.statusCode));
      socket.once('error', () => {});
    });
    expect(await refused).toBe(426);
  });
});

describe('a closed port', () => {
  it('is a 502 with JSON', async () => {
    const answer = await fetch(url(9_999));
    expect(answer.status).toBe(502);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await answer.json()).toEqual({
      sandboxId: sandbox.current.sandboxId,
      message: 'The sandbox is running but port is not open',
      port: 9_999,
      code: 502,
    });
  });

  it('is a 502 with a page to a browser, and JSON to its scripts', async () => {
    const page = await send({ method: 'GET', url: url(9_999), headers: BROWSER });
    expect(page.status).toBe(502);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.text).toMatch(/^<html[\s\S]*<\/html>$/);
    for (const part of ['no service running on port', '9999', sandbox.current.sandboxId]) {
      expect(page.text).toContain(part);
    }
    const script = { method: 'GET', url: url(9_999), headers: { ...BROWSER, 'Sec-Fetch-Mode': 'cors' } };
    const answer = await send(script);
    expect([answer.status, answer.headers['content-type']]).toEqual([502, 'application/json; charset=utf-8']);
  });
});

describe('a killed sandbox', () => {
  it('is a 502, with JSON or a page, on every port, and its connections end', async () => {
    const short = await newSandbox();
    await startServer(short, { port: 3_000 });
    const host = short.getHost(3_000);
    const socket = new WebSocket(`ws://${host}/socket`, 'mine');
    await new Promise((resolve) => socket.once('open', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    expect(await short.kill()).toBe(true);
    await closed;
    for (const gone of [host, short.getHost(49_983)]) {
      const answer = await fetch(`http://${gone}/health`);
      expect(answer.status).toBe(502);
      expect(await answer.json()).toEqual({
        sandboxId: short.sandboxId,
        message: 'The sandbox was not found',
        code: 502,
      });
    }
    const page = await send({ method: 'GET', url: `http://${host}/`, headers: BROWSER });
    expect(page.status).toBe(502);
    expect(page.text).toContain('Sandbox Not Found');
    expect(page.text).toContain(short.sandboxId);
  });
});
