import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Certificate, issueCertificate } from '@islet/certificates';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificateFor, Edge, sandboxRoute } from './edge.ts';
import { call, open } from './http1.ts';

const ADDRESS = '127.0.0.26';
let edge: Edge;
let authority: Certificate;
let certificate: Certificate;
let ca: string;
let port: number;
const entry = sandboxRoute(ADDRESS);
const host = () => `${port}-${entry.sandboxId}.sandboxes.test`;

beforeAll(async () => {
  ({ authority, certificate } = await certificateFor('sandboxes.test'));
  ca = authority.cert;
  edge = await Edge.start({ certificate });
  await edge.routes.put(entry);
  const served = await edge.serve(ADDRESS, (incoming, response) => {
    if (incoming.url === '/cookies') {
      response.writeHead(200, [
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'X-Cookie',
        incoming.headers.cookie ?? '',
      ]);
      response.end();
      return;
    }
    if (incoming.url === '/trailers') {
      response.writeHead(200, { Trailer: 'x-t' });
      response.write('x');
      response.addTrailers({ 'x-t': 'end' });
      response.end();
      return;
    }
    if (incoming.url === '/cut') {
      response.writeHead(200);
      response.write('begun');
      setTimeout(() => incoming.socket.resetAndDestroy(), 20);
      return;
    }
    response.writeHead(200, {
      'x-host': incoming.headers.host ?? '',
      'x-length': incoming.headers['content-length'] ?? '',
    });
    incoming.pipe(response);
  });
  port = served.port;
});
afterAll(() => edge[Symbol.asyncDispose]());

describe('on one port', () => {
  it('answers plain HTTP', async () => {
    expect((await call({ port: edge.port, host: host() })).status).toBe(200);
  });

  it('answers HTTP/1.1 over TLS, with a certificate that fits the names', async () => {
    for (const servername of [
      host(),
      'sandboxes.test',
      'localhost',
      `${port}-${entry.sandboxId}.islet.localhost`,
    ]) {
      const outgoing = request({
        host: '127.0.0.1',
        port: edge.port,
        servername,
        ca,
        headers: { host: host() },
        agent: false,
      });
      outgoing.end();
      const [response] = await once(outgoing, 'response');
      expect(response.statusCode).toBe(200);
      response.resume();
      await once(response, 'end');
    }
  });

  it('keeps an HTTP/1.1 connection over TLS open', async () => {
    const socket = connectTls({ host: '127.0.0.1', port: edge.port, servername: 'localhost', ca });
    await once(socket, 'secureConnect');
    for (let i = 0; i < 3; i++) {
      socket.write(`GET / HTTP/1.1\r\nHost: ${host()}\r\n\r\n`);
      expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 200/);
    }
    socket.destroy();
  });

  it('takes a handshake and a request that come byte by byte', async () => {
    const slow = await open(edge.port);
    for (const char of `GET / HTTP/1.1\r\nHost: ${host()}\r\n\r\n`) slow.write(char);
    await slow.until(/^HTTP\/1\.1 200/);
    slow.destroy();
  });

  it('survives clients that say nothing, or nonsense', async () => {
    const silent = connectTcp(edge.port, '127.0.0.1');
    await once(silent, 'connect');
    silent.end();
    await once(silent, 'close');
    const nonsense = connectTcp(edge.port, '127.0.0.1', () =>
      nonsense.write(Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])),
    );
    nonsense.on('error', () => {});
    nonsense.resume();
    await new Promise((resolve) => nonsense.once('close', resolve));
    expect((await call({ port: edge.port, host: host() })).status).toBe(200);
  });
});

describe('HTTP/2', () => {
  let session: ClientHttp2Session;
  beforeAll(async () => {
    session = connectHttp2(`https://127.0.0.1:${edge.port}`, { ca, servername: 'localhost' });
    await once(session, 'connect');
  });
  afterAll(() => session.destroy());

  async function ask(headers: Record<string, string>, body?: Buffer) {
    const stream = session.request({ ':authority': host(), ...headers }, { endStream: body === undefined });
    if (body) stream.end(body);
    let trailers = {};
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    const [response] = await once(stream, 'response');
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return { response, body: Buffer.concat(chunks), trailers };
  }

  it('forwards requests with and without a body', async () => {
    const empty = await ask({ ':path': '/' });
    expect(empty.response).toMatchObject({ ':status': 200, 'x-host': host() });
    const body = Buffer.alloc(500_000, 5);
    const echoed = await ask({ ':method': 'POST', ':path': '/' }, body);
    expect(body.equals(echoed.body)).toBe(true);
    const sized = await ask({ ':method': 'POST', ':path': '/', 'content-length': '3' }, Buffer.from('abc'));
    expect(sized.response['x-length']).toBe('3');
  });

  it('routes by headers', async () => {
    const headers = {
      ':authority': 'localhost',
      'e2b-sandbox-id': entry.sandboxId,
      'e2b-sandbox-port': String(port),
    };
    expect((await ask({ ...headers, ':path': '/' })).response[':status']).toBe(200);
  });

  it('keeps cookies apart and trailers at the end', async () => {
    const { response } = await ask({ ':path': '/cookies', cookie: 'x=1; y=2' });
    expect(response['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(response['x-cookie']).toBe('x=1; y=2');
    expect((await ask({ ':path': '/trailers' })).trailers).toMatchObject({ 'x-t': 'end' });
  });

  it('serves many streams of one connection at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => ask({ ':method': 'POST', ':path': '/' }, Buffer.from(`n${i}`))),
    );
    expect(answers.map((answer) => answer.body.toString())).toEqual(
      Array.from({ length: 100 }, (_, i) => `n${i}`),
    );
  });

  it('answers errors as HTTP/1.1 does', async () => {
    const gone = await ask({ ':authority': '3000-inone.localhost', ':path': '/' });
    expect(gone.response[':status']).toBe(502);
    expect(JSON.parse(gone.body.toString()).sandboxId).toBe('inone');
    const reserved = await ask({ ':authority': `49983-${entry.sandboxId}.localhost`, ':path': '/%69nit' });
    expect(reserved.response[':status']).toBe(404);
    const head = await ask({ ':method': 'HEAD', ':authority': '3000-inone.localhost', ':path': '/' });
    expect([head.response[':status'], head.body.length]).toEqual([502, 0]);
  });

  it('refuses CONNECT', async () => {
    const stream = session.request({ ':method': 'CONNECT', ':authority': host() });
    stream.resume();
    const [response] = await once(stream, 'response');
    expect(response[':status']).toBe(405);
    stream.destroy();
  });

  it('resets a stream whose answer breaks off', async () => {
    const stream = session.request({ ':authority': host(), ':path': '/cut' });
    stream.on('error', () => {});
    stream.resume();
    await new Promise((resolve) => stream.once('close', resolve));
    expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect((await ask({ ':path': '/' })).response[':status']).toBe(200);
  });
});

describe('a newer certificate', () => {
  it('is served from now on, and no connection that is open ends', async () => {
    await using renewing = await Edge.start({ certificate });
    await renewing.routes.put(entry);
    const to = { host: '127.0.0.1', port: renewing.port, servername: 'localhost', ca };
    const [kept, session] = [connectTls(to), connectHttp2(`https://127.0.0.1:${renewing.port}`, to)];
    await Promise.all([once(kept, 'secureConnect'), once(session, 'connect')]);
    const half = session.request({ ':method': 'POST', ':path': '/', ':authority': host() });
    half.write('before, ');
    expect(String((await once(half, 'data'))[0])).toBe('before, ');

    const next = await issueCertificate(authority, 'sandboxes.test', new Date());
    renewing.proxy.useCertificate(next);
    const fresh = connectTls(to);
    await once(fresh, 'secureConnect');
    const serial = (pem: string) => new X509Certificate(pem).serialNumber;
    expect(fresh.getPeerCertificate().serialNumber).toBe(serial(next.cert));
    expect(kept.getPeerCertificate().serialNumber).toBe(serial(certificate.cert));
    kept.write(`GET / HTTP/1.1\r\nHost: ${host()}\r\n\r\n`);
    expect(String((await once(kept, 'data'))[0])).toMatch(/^HTTP\/1\.1 200/);
    half.end('and after');
    expect(String((await once(half, 'data'))[0])).toBe('and after');
    session.destroy();
    for (const socket of [kept, fresh]) socket.destroy();
  });
});
