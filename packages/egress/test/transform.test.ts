import { generateKeyPair } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer as createHttp1Server,
  request as http1Request,
  type IncomingHttpHeaders,
} from 'node:http';
import { connect as connectHttp2, createSecureServer } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { type Certificate, certifyDomain, makeEgressAuthority } from '@islet/certificates';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Credentials, GatedSandbox } from '../src/index.ts';
import type { UsedSecret } from '../src/transform/header-values.ts';
import { createTransform, type TransformedConnection } from '../src/transform/transform.ts';

const DOMAIN = 'api.example.com';
const DAY_MS = 24 * 3_600_000;
const SECRET = 'sk-the value';
const fill = (name: string) => `\${e2b.secrets.${name}}`;
const FAILED = { code: 502, message: 'Network transform failed' };

/** What reached a destination. */
interface Seen {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  raw: string[];
  bytes: number;
}

let own: Certificate;
let internet: Certificate;
let stranger: Certificate;
beforeAll(async () => {
  const now = new Date();
  [own, internet, stranger] = (await Promise.all([now, now, now].map(makeEgressAuthority))) as [
    Certificate,
    Certificate,
    Certificate,
  ];
});

async function certified(authority: Certificate, domain: string, at = Date.now()): Promise<Certificate> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const cert = await certifyDomain(authority, domain, spki, new Date(at));
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

const listening = async (server: { listen(port: number, host: string): unknown; address(): unknown }) => {
  server.listen(0, '127.0.0.1');
  await once(server as unknown as Server, 'listening');
  return (server.address() as AddressInfo).port;
};

/** A destination that says what it was sent, by both protocols. */
async function openDestination({ cert, key }: Certificate, allowHTTP1 = true) {
  const seen: Seen[] = [];
  const server = createSecureServer({ cert, key, allowHTTP1 }, async (request, response) => {
    const { method, url, headers, rawHeaders } = request;
    const entry = { method, url, headers, raw: rawHeaders, bytes: 0 };
    for await (const piece of request) entry.bytes += piece.length;
    seen.push(entry);
    if (url === '/large') {
      const piece = Buffer.alloc(64 * 1024, 'x');
      Readable.from(
        (function* () {
          for (let i = 0; i < 1_600; i++) yield piece;
        })(),
      ).pipe(response);
      return;
    }
    response.setHeader('x-seen', String(seen.length));
    response.end(JSON.stringify({ url, headers, bytes: entry.bytes }));
  });
  server.on('upgrade', (request, socket) => {
    seen.push({
      method: 'GET',
      url: request.url ?? '',
      headers: request.headers,
      raw: request.rawHeaders,
      bytes: 0,
    });
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    socket.pipe(socket);
  });
  server.on('error', () => undefined);
  server.on('sessionError', () => undefined);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  const port = await listening(server);
  return {
    port,
    seen,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

interface GatewayOptions {
  headers?: Record<string, string>;
  kind?: 'tls' | 'http';
  port: number;
  secrets?: Map<string, { value: string; version: number }>;
  tokens?: string[];
}

/** The gateway's part after it has read a name: it reads the first bytes, and hands the connection over. */
async function openGateway({
  headers = {},
  kind = 'tls',
  port,
  secrets = new Map(),
  tokens = [],
}: GatewayOptions) {
  const transform = createTransform({ trusted: internet.cert });
  const used: UsedSecret[] = [];
  const asked = { secrets: 0, tokens: 0, dials: 0 };
  const credentials: Credentials = {
    secret: async (teamId, name) => {
      asked.secrets++;
      return secrets.get(`${teamId}/${name}`);
    },
    token: async (_, name) => `token-${name}-${++asked.tokens}`,
    certificate: (domain, publicKey) => certifyDomain(own, domain, publicKey, new Date()),
  };
  const sandbox: GatedSandbox = {
    ...{
      address: '10.64.0.2',
      teamId: 'team',
      sandboxId: 'i',
      executionId: 'e',
      templateId: 't',
      buildId: 'b',
    },
    workloadTokens: tokens.map((name) => ({ name, audience: 'a' })),
    policy: { allowOut: [], denyOut: [], learning: false, rules: [] },
  };
  const abort = new AbortController();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, async (client) => {
    client.resume();
    const [head] = (await once(client, 'data')) as [Buffer];
    client.pause();
    const connection: TransformedConnection = {
      ...{ client, head, kind, sandbox, credentials, signal: abort.signal },
      rule: { domain: DOMAIN, headers },
      dial: async () => {
        asked.dials++;
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        await once(socket, 'connect');
        return socket;
      },
      onUse: (each) => void used.push(...each),
    };
    await transform(connection);
  });
  return { port: await listening(server), used, asked, abort, close: () => server.close() };
}

type Gateway = Awaited<ReturnType<typeof openGateway>>;

const inside = ({ port }: Gateway) => ({ port, host: '127.0.0.1', servername: DOMAIN, ca: own.cert });

/** A request from inside, by HTTP/1.1. */
async function ask(
  gateway: Gateway,
  path = '/',
  headers: Record<string, string | string[]> = {},
  body?: Buffer,
) {
  const request = httpsRequest({
    ...inside(gateway),
    ...{ path, method: body ? 'POST' : 'GET', agent: false },
    headers: { host: DOMAIN, ...headers },
  });
  request.end(body);
  const [response] = await once(request, 'response');
  const text = (await buffer(response)).toString();
  return { status: response.statusCode as number, headers: response.headers, body: parsed(text) };
}

function parsed(text: string) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

describe('a transformed connection', () => {
  let destination: Awaited<ReturnType<typeof openDestination>>;
  let secrets: Map<string, { value: string; version: number }>;
  const open: { close(): void }[] = [];
  const gatewayTo = async (options: Partial<GatewayOptions> = {}) => {
    const gateway = await openGateway({ port: destination.port, secrets, ...options });
    open.push(gateway);
    return gateway;
  };
  const destinationWith = async (certificate: Certificate, allowHTTP1 = true) => {
    destination = await openDestination(certificate, allowHTTP1);
    open.push(destination);
  };
  beforeEach(async () => {
    secrets = new Map([
      ['team/k', { value: SECRET, version: 3 }],
      ['other/mine', { value: 'of another team', version: 1 }],
    ]);
    await destinationWith(await certified(internet, DOMAIN));
  });
  afterEach(() => {
    for (const each of open.splice(0)) each.close();
  });

  const AUTHORIZED = { Authorization: `Bearer ${fill(' K ')}` };

  it('puts headers on requests, in the place of all that the client had of the name', async () => {
    const gateway = await gatewayTo({
      headers: { ...AUTHORIZED, 'X-Fixed': 'a', Connection: 'close', TE: 'x' },
    });
    const { status, body } = await ask(gateway, '/a?b', {
      authorization: 'mine',
      'x-fixed': ['1', '2'],
      'x-own': 'o',
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ url: '/a?b', headers: { 'x-own': 'o', 'x-fixed': 'a' } });
    const [seen] = destination.seen;
    const values = (name: string) =>
      seen?.raw.flatMap((each, at) =>
        at % 2 === 0 && each.toLowerCase() === name ? [seen.raw[at + 1]] : [],
      );
    expect(values('authorization')).toEqual([`Bearer ${SECRET}`]);
    expect(values('x-fixed')).toEqual(['a']);
    expect(values('te') ?? []).not.toContain('x');
    expect(gateway.used).toEqual([{ name: 'k', version: 3 }]);
  });

  it('mints a token for each request, and sends on the name of one that is not registered', async () => {
    const placeholder = (name: string) => `\${e2b.identity.tokens.${name}}`;
    const headers = { 'x-id': placeholder('aws'), 'x-other': placeholder('none') };
    const gateway = await gatewayTo({ headers, tokens: ['aws'] });
    for (const number of [1, 2]) {
      const { body } = await ask(gateway);
      expect(body.headers).toMatchObject({ 'x-id': `token-aws-${number}`, 'x-other': placeholder('none') });
    }
  });

  it('speaks HTTP/2 with both sides, many requests at once', async () => {
    await destinationWith(await certified(internet, DOMAIN), false);
    const gateway = await gatewayTo({ headers: AUTHORIZED });
    const session = connectHttp2(`https://${DOMAIN}`, {
      createConnection: () => connectTls({ ...inside(gateway), ALPNProtocols: ['h2'] }),
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const stream = session.request({ ':path': `/${i}`, authorization: 'mine', ':method': 'POST' });
        stream.end('body');
        const [headers] = await once(stream, 'response');
        return { status: headers[':status'], body: parsed((await buffer(stream)).toString()) };
      }),
    );
    session.close();
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(answers.map(({ body }) => body.url)).toEqual(Array.from({ length: 20 }, (_, i) => `/${i}`));
    for (const { body } of answers) {
      expect(body.headers.authorization).toBe(`Bearer ${SECRET}`);
      expect(body.bytes).toBe(4);
    }
    expect(gateway.asked.dials).toBe(1);
  });

  it('lets HTTP/2 inside speak to a destination of HTTP/1.1', async () => {
    const gateway = await gatewayTo({ headers: AUTHORIZED });
    const plain = createHttp1Server();
    plain.close();
    const session = connectHttp2(`https://${DOMAIN}`, {
      createConnection: () => connectTls({ ...inside(gateway), ALPNProtocols: ['h2'] }),
    });
    const stream = session.request({ ':path': '/x' });
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(200);
    expect(parsed((await buffer(stream)).toString()).headers.authorization).toBe(`Bearer ${SECRET}`);
    session.close();
  });

  it('passes 100 MB both ways as fast as they are read, and keeps none of it', { tags: 'long' }, async () => {
    const gateway = await gatewayTo({ headers: AUTHORIZED });
    const before = process.memoryUsage.rss();
    const request = httpsRequest({
      ...inside(gateway),
      ...{ path: '/up', method: 'POST', agent: false, headers: { host: DOMAIN } },
    });
    const piece = Buffer.alloc(64 * 1024, 'x');
    Readable.from(
      (function* () {
        for (let i = 0; i < 1_600; i++) yield piece;
      })(),
    ).pipe(request);
    const [response] = await once(request, 'response');
    expect(parsed((await buffer(response)).toString()).bytes).toBe(1_600 * piece.length);
    const down = httpsRequest({
      ...inside(gateway),
      path: '/large',
      agent: false,
      headers: { host: DOMAIN },
    });
    down.end();
    const [large] = await once(down, 'response');
    // It stands still for a moment: what is sent meanwhile waits at the destination.
    await new Promise((resolve) => setTimeout(resolve, 300));
    let bytes = 0;
    for await (const each of large) bytes += each.length;
    expect(bytes).toBe(1_600 * piece.length);
    expect(process.memoryUsage.rss() - before).toBeLessThan(80 * 1024 * 1024);
  });

  it('lets a WebSocket begin, with its headers', async () => {
    const gateway = await gatewayTo({ headers: AUTHORIZED });
    const request = httpsRequest({
      ...inside(gateway),
      ...{ path: '/ws', agent: false },
      headers: { host: DOMAIN, connection: 'Upgrade', upgrade: 'websocket', authorization: 'mine' },
    });
    request.end();
    const [response, socket] = (await once(request, 'upgrade')) as [{ statusCode: number }, TLSSocket];
    expect(response.statusCode).toBe(101);
    socket.write('hello');
    const [echoed] = (await once(socket, 'data')) as [Buffer];
    expect(echoed.toString()).toBe('hello');
    socket.destroy();
    expect(destination.seen[0]?.headers.authorization).toBe(`Bearer ${SECRET}`);
  });

  it.each([
    ['of another domain', () => certified(internet, 'evil.example')],
    ['that has ended', () => certified(internet, DOMAIN, Date.now() - 3 * DAY_MS)],
    ['of an authority that nobody knows', () => certified(stranger, DOMAIN)],
    ['that the sandbox trusts', () => certified(own, DOMAIN)],
  ])('gives nothing to a destination with a certificate %s', async (_, certificate) => {
    await destinationWith(await certificate());
    const gateway = await gatewayTo({ headers: { ...AUTHORIZED, 'x-fixed': 'a' } });
    expect(await ask(gateway)).toMatchObject({ status: 502, body: FAILED });
    expect(destination.seen).toEqual([]);
    expect(gateway.asked.secrets).toBe(0);
  });

  it('answers 421 to a request for another host, on every request of a connection', async () => {
    const gateway = await gatewayTo({ headers: AUTHORIZED });
    const socket = connectTls(inside(gateway));
    await once(socket, 'secureConnect');
    let text = '';
    socket.on('data', (piece) => {
      text += piece;
    });
    for (const [path, host] of [
      ['/1', DOMAIN],
      ['/2', 'evil.example'],
      ['/3', `${DOMAIN.toUpperCase()}:443`],
      [`https://evil.example/4`, DOMAIN],
      [`https://${DOMAIN}/5`, DOMAIN],
      ['/6', `evil.${DOMAIN}`],
    ]) {
      const before = text.match(/HTTP\/1\.1/g)?.length ?? 0;
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await expect.poll(() => text.match(/HTTP\/1\.1/g)?.length).toBe(before + 1);
    }
    expect(text.match(/HTTP\/1\.1 \d+/g)?.map((line) => Number(line.slice(9)))).toEqual([
      200, 421, 200, 421, 200, 421,
    ]);
    socket.write(`GET /7 HTTP/1.1\r\nHost: ${DOMAIN}\r\nHost: evil.example\r\n\r\n`);
    await expect.poll(() => text.match(/HTTP\/1\.1 \d+/g)?.length).toBe(7);
    expect(destination.seen.map(({ url }) => url)).toEqual(['/1', '/3', '/5']);
    socket.destroy();
  });

  it.each<[string, Record<string, string>]>([
    ['a secret that is not there', { a: fill('none') }],
    ['a secret of another team', { a: fill('mine') }],
    ['a value that would begin another header', { a: fill('lines') }],
    ['a value that is too long', { a: fill('long') }],
  ])('sends nothing with %s', async (_, headers) => {
    secrets.set('team/lines', { value: 'a\r\nX-Injected: b', version: 1 });
    secrets.set('team/long', { value: 'a'.repeat(16 * 1024 + 1), version: 1 });
    const gateway = await gatewayTo({ headers: { ...headers, 'x-fixed': 'a' } });
    const { status, body } = await ask(gateway);
    expect({ status, body }).toEqual({ status: 502, body: FAILED });
    expect(destination.seen).toEqual([]);
  });

  it('does not look again at what it has filled in', async () => {
    secrets.set('team/nested', { value: fill('k'), version: 1 });
    const { body } = await ask(await gatewayTo({ headers: { a: fill('nested') } }));
    expect(body.headers.a).toBe(fill('k'));
  });

  it('writes what is not ASCII as UTF-8', async () => {
    secrets.set('team/k', { value: 'ключ', version: 1 });
    const { body } = await ask(await gatewayTo({ headers: { a: fill('k') } }));
    expect(Buffer.from(body.headers.a, 'latin1').toString()).toBe('ключ');
  });

  it('forgets a secret within ten seconds', async () => {
    const gateway = await gatewayTo({ headers: AUTHORIZED });
    expect((await ask(gateway)).status).toBe(200);
    expect((await ask(gateway)).status).toBe(200);
    expect(gateway.asked.secrets).toBe(1);
    secrets.delete('team/k');
    await expect.poll(async () => (await ask(gateway)).status, { interval: 500 }).toBe(502);
  });

  it('cuts what its policy forbids from now on', async () => {
    const gateway = await gatewayTo({ headers: AUTHORIZED });
    const socket = connectTls(inside(gateway));
    await once(socket, 'secureConnect');
    socket.on('error', () => undefined);
    gateway.abort.abort();
    await once(socket, 'close');
  });

  describe('without TLS', () => {
    const plainDestination = async () => {
      const seen: IncomingHttpHeaders[] = [];
      const server = createHttp1Server((request, response) => {
        seen.push(request.headers);
        response.end('fine');
      });
      open.push({ close: () => server.close().closeAllConnections() });
      return { port: await listening(server), seen };
    };
    const askPlain = async ({ port }: Gateway, host = DOMAIN) => {
      const request = http1Request({
        port,
        host: '127.0.0.1',
        agent: false,
        headers: { host, 'x-a': 'mine' },
      });
      request.end();
      const [response] = await once(request, 'response');
      return { status: response.statusCode, body: parsed((await buffer(response)).toString()) };
    };

    it('gets fixed values', async () => {
      const { port, seen } = await plainDestination();
      const gateway = await gatewayTo({ kind: 'http', port, headers: { 'X-A': 'a' } });
      expect(await askPlain(gateway)).toEqual({ status: 200, body: 'fine' });
      expect(seen).toMatchObject([{ 'x-a': 'a', host: DOMAIN }]);
      expect((await askPlain(gateway, 'evil.example')).status).toBe(421);
    });

    it('gets no secret, and nothing else of a rule that names one', async () => {
      const { port, seen } = await plainDestination();
      const gateway = await gatewayTo({ kind: 'http', port, headers: { 'X-A': 'a', ...AUTHORIZED } });
      expect(await askPlain(gateway)).toEqual({ status: 502, body: FAILED });
      expect(seen).toEqual([]);
      expect(gateway.asked.secrets).toBe(0);
    });
  });
});

afterAll(() => undefined);
