import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createDestinations } from '../src/index.ts';
import { post, REQUEST_LIMITS } from '../src/request.ts';
import { floods, openStranger } from './strangers.ts';

const toAnywhere = createDestinations(['127.0.0.0/8', '::1']);
const never = new AbortController().signal;
const LIMITS = { ...REQUEST_LIMITS, wholeMs: 3_000 };

const send = (
  url: string,
  over: { destinations?: typeof toAnywhere; signal?: AbortSignal; limits?: typeof LIMITS } = {},
) =>
  post(
    { url, headers: { 'content-type': 'application/json' }, body: '{"a":"ä"}' },
    over.destinations ?? toAnywhere,
    over.signal ?? never,
    over.limits ?? LIMITS,
  );

describe('a request', () => {
  it('is one POST, and its answer is told', async () => {
    await using receiver = await openStranger((socket) =>
      socket.end('HTTP/1.1 202 Accepted\r\nX-A: b\r\nX-A: c\r\nContent-Length: 2\r\n\r\nok'),
    );
    expect(await send(`${receiver.url}?x=1`)).toMatchObject({
      reply: { status: 202, headers: { 'x-a': 'b, c' }, body: 'ok' },
      errorClass: null,
    });
    const [sent = ''] = receiver.sent;
    expect(sent.startsWith('POST /hook?x=1 HTTP/1.1\r\n')).toBe(true);
    expect(sent).toContain('\r\ncontent-length: 10\r\n');
    expect(sent.endsWith('\r\n\r\n{"a":"ä"}')).toBe(true);
  });

  it('follows no redirect', async () => {
    await using other = await openStranger((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
    );
    await using receiver = await openStranger((socket) =>
      socket.end(`HTTP/1.1 307 Go\r\nLocation: ${other.url}\r\nContent-Length: 0\r\n\r\n`),
    );
    expect((await send(receiver.url)).reply?.status).toBe(307);
    expect(other.sent).toEqual([]);
  });

  it('keeps the beginning of a long answer', async () => {
    await using receiver = await openStranger((socket) =>
      socket.end(`HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`),
    );
    const { reply } = await send(receiver.url);
    expect(reply?.body).toBe('x'.repeat(4_096));
  });

  it('ends when it is told to', async () => {
    const abort = new AbortController();
    await using receiver = await openStranger(() => abort.abort());
    expect(await send(receiver.url, { signal: abort.signal })).toMatchObject({
      reply: null,
      errorClass: 'canceled',
    });
    expect(await send(receiver.url, { signal: abort.signal })).toMatchObject({ errorClass: 'canceled' });
  });
});

const OK = 'HTTP/1.1 200 OK\r\n';

describe('a receiver that', () => {
  it.each([
    ['sends a body without an end', `${OK}\r\n`, 'x'.repeat(65_536), 0, 'transport_error'],
    ['sends its body a byte at a time', `${OK}Content-Length: 100000\r\n\r\n`, 'x', 50, 'timeout'],
    ['sends its headers a byte at a time', `${OK}X-A: `, 'x', 50, 'timeout'],
    ['sends headers without an end', `${OK}`, `X-${'a'.repeat(500)}: b\r\n`, 0, 'transport_error'],
    [
      'sends answers before its answer without an end',
      '',
      'HTTP/1.1 103 Early\r\nLink: a\r\n\r\n',
      0,
      'transport_error',
    ],
    ['sends no HTTP', '', 'SSH-2.0-nonsense\r\n', 0, 'transport_error'],
    [
      'sends chunks without an end',
      `${OK}Transfer-Encoding: chunked\r\n\r\n`,
      `8000\r\n${'x'.repeat(32_768)}\r\n`,
      0,
      'transport_error',
    ],
    ['says nothing', '', '', 100, 'timeout'],
  ])('%s is given up on', async (_, begin, again, everyMs, errorClass) => {
    await using receiver = await openStranger((socket) => {
      socket.write(begin);
      floods(socket, again, everyMs);
    });
    const outcome = await send(receiver.url);
    expect(outcome.errorClass).toBe(errorClass);
    expect(outcome.reply?.body.length ?? 0).toBeLessThanOrEqual(4_096);
  });

  it.each([
    ['hangs up at once', '', 'transport_error'],
    ['hangs up within its body', `${OK}Content-Length: 10\r\n\r\nabc`, 'transport_error'],
    [
      'changes the protocol',
      'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
      'transport_error',
    ],
  ])('%s has not answered', async (_, text, errorClass) => {
    await using receiver = await openStranger((socket) => socket.end(text));
    expect((await send(receiver.url)).errorClass).toBe(errorClass);
  });

  it('is not there is not waited for', async () => {
    const receiver = await openStranger(() => undefined);
    await receiver[Symbol.asyncDispose]();
    expect(await send(receiver.url)).toMatchObject({ reply: null, errorClass: 'transport_error' });
  });
});

describe('TLS', () => {
  it('of an authority that nobody knows is refused', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'islet-webhooks-'));
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await promisify(execFile)('openssl', ['req', '-x509', ...curve, ...names, '-keyout', key, '-out', cert]);
    const [keyText, certText] = await Promise.all([readFile(key), readFile(cert)]);
    await rm(dir, { recursive: true });
    let asked = 0;
    const server = createTlsServer({ key: keyText, cert: certText }, (_, response) => {
      asked++;
      response.end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const outcome = await send(`https://localhost:${(server.address() as AddressInfo).port}/`);
    server.close();
    expect(outcome).toMatchObject({ reply: null, errorClass: 'transport_error' });
    expect(outcome.errorMessage).toMatch(/certificate/);
    expect(asked).toBe(0);
  });
});

describe('a destination', () => {
  const toPublic = createDestinations([]);

  it.each([
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://localhost:3000/',
    'http://api.localhost/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:10.0.0.1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://10.1.2.3/',
    'http://172.16.0.1/',
    'http://192.168.1.1/',
    'http://100.64.0.1/',
    'http://100.100.100.200/',
    'http://169.254.169.254/latest/meta-data/',
    'http://168.63.129.16/',
    'http://0.0.0.0/',
    'http://[fd00:ec2::254]/',
    'http://[fe80::1]/',
    'http://224.0.0.1/',
    'http://user:password@192.0.2.1/',
    'ftp://192.0.2.1/',
    'nonsense',
  ])('%s is refused without a word to it', async (url) => {
    expect(await send(url, { destinations: toPublic })).toMatchObject({
      reply: null,
      errorClass: 'request_error',
    });
  });

  it('that the operator allows is reached, and nothing beside it', async () => {
    await using receiver = await openStranger((socket) => socket.end(`${OK}Content-Length: 0\r\n\r\n`));
    const destinations = createDestinations(['127.0.0.1']);
    expect((await send(receiver.url, { destinations })).errorClass).toBeNull();
    expect((await send('http://127.0.0.2/', { destinations })).errorClass).toBe('request_error');
    // Also by name; the address that is not allowed is not tried.
    expect((await send(`http://localhost:${receiver.port}/`, { destinations })).errorClass).toBeNull();
  });

  it('whose name leads to one address when it is looked at is connected to there, wherever it leads then', async () => {
    await using receiver = await openStranger((socket) => socket.end(`${OK}Content-Length: 0\r\n\r\n`));
    const asked: string[] = [];
    const outcome = await send(`http://rebound.example:${receiver.port}/`, {
      destinations: {
        allows: () => true,
        async resolve(host) {
          asked.push(host);
          return ['127.0.0.1'];
        },
      },
    });
    expect(outcome.errorClass).toBeNull();
    expect(asked).toEqual(['rebound.example']);
    expect(receiver.sent[0]).toContain(`Host: rebound.example:${receiver.port}\r\n`);
  });

  it('refuses lists that are none', () => {
    expect(() => createDestinations(['10.0.0.0/33'])).toThrow(RangeError);
  });
});
