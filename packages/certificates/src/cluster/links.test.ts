import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ConnectionOptions, connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Certificate } from '../certificate.ts';
import { issueCertificate, makeAuthority } from '../https/issue.ts';
import { DAY_MS } from '../x509.ts';
import {
  BadCertificateRequest,
  certifyMember,
  fingerprintOf,
  makeClusterAuthority,
  requestCertificate,
} from './authority.ts';
import { type Identity, newIdentity, type Role } from './identity.ts';
import {
  type Expected,
  type LinkCredentials,
  lapsedPeerOf,
  linkClient,
  peerOf,
  serverOptions,
} from './links.ts';

const NOW = new Date();
let ours: Certificate;
let theirs: Certificate;
let api: LinkCredentials;
let node: LinkCredentials;
beforeAll(async () => {
  [ours, theirs] = await Promise.all([makeClusterAuthority(NOW), makeClusterAuthority(NOW)]);
  [api, node] = [await member(ours, 'api'), await member(ours, 'node', 'one')];
});

async function member(authority: Certificate, role: Role, name = 'some', at = NOW): Promise<LinkCredentials> {
  return certified(authority, newIdentity(role, name), at);
}

async function certified(authority: Certificate, identity: Identity, at = NOW): Promise<LinkCredentials> {
  const { key, request } = await requestCertificate();
  const { cert } = await certifyMember(authority, request, identity, at);
  return { cert, key, authority: authority.cert };
}

/** A node's port that answers APIs: a client that it takes for one is told its name. */
async function listen(credentials: LinkCredentials, roles: Role[] = ['api']): Promise<Server> {
  const server = createServer(serverOptions(credentials), (socket: TLSSocket) => {
    const peer = peerOf(socket, roles);
    if (peer) socket.end(peer.name);
    else socket.destroy();
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** What a client hears; '' if the connection ends without a word. */
function ask(server: Server, credentials: LinkCredentials, expected: Expected = { role: 'node' }) {
  return hear(server, linkClient(credentials)(expected));
}

async function hear(server: Server, options: ConnectionOptions): Promise<string> {
  const socket = connect({ ...options, host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  let heard = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  await once(socket, 'close');
  return heard;
}

/** A client that is content with any server, and shows what it has. */
function showing({ cert, key }: Certificate): ConnectionOptions {
  return { rejectUnauthorized: false, ...(cert && { cert, key }) };
}

describe('a link between members of a cluster', () => {
  let server: Server;
  beforeAll(async () => {
    server = await listen(node);
  });
  afterAll(() => server.close());

  it('is TLS 1.3, and each end knows who the other is', async () => {
    expect(await ask(server, api)).toBe('some');
    expect(await ask(server, api, { role: 'node', name: 'one' })).toBe('some');
    await expect(
      hear(server, { ...showing(api), maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' }),
    ).rejects.toThrow();
  });

  it('is refused by a client to whom another member answers', async () => {
    for (const expected of [
      { role: 'api' },
      { role: 'node', name: 'two' },
      { role: 'node', name: 'one', memberId: newIdentity('node', 'one').memberId },
    ] satisfies Expected[]) {
      await expect(ask(server, api, expected)).rejects.toThrow(/another member/);
    }
  });

  it('answers nobody of another role', async () => {
    for (const role of ['edge', 'node'] as const)
      expect(await ask(server, await member(ours, role))).toBe('');
  });

  it.each([
    ['without a certificate', async () => ({ cert: '', key: '' })],
    ['with one of another cluster', () => member(theirs, 'api')],
    ['with one that has expired', () => member(ours, 'api', 'some', new Date(NOW.getTime() - 2 * DAY_MS))],
    ['with one that is not valid yet', () => member(ours, 'api', 'some', new Date(NOW.getTime() + DAY_MS))],
    [
      'with one of the authority for https',
      async () => issueCertificate(await makeAuthority('localhost', 'tests', NOW), 'localhost', NOW),
    ],
    ['with one that a member has signed', async () => member(api, 'api')],
  ])('does not answer a client %s', async (_, make) => {
    const { cert, key } = await make();
    expect(await hear(server, showing({ cert, key })).catch(() => '')).toBe('');
  });

  it('is refused to a server of another cluster, or one that has expired', async () => {
    for (const credentials of [
      await member(theirs, 'node'),
      await member(ours, 'node', 'one', new Date(NOW.getTime() - 2 * DAY_MS)),
    ]) {
      const other = await listen(credentials);
      await expect(ask(other, api)).rejects.toThrow();
      other.close();
    }
  });

  it('goes on while its ends get newer certificates, which count from the next one on', async () => {
    const identity = newIdentity('node', 'renewed');
    const echo = createServer(serverOptions(await certified(ours, identity)), (socket) =>
      socket.pipe(socket),
    );
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const { port } = echo.address() as AddressInfo;
    const open = () => connect({ ...linkClient(api)(identity), host: '127.0.0.1', port });
    const first = open();
    await once(first, 'secureConnect');
    const newer = await certified(ours, identity);
    echo.setSecureContext(serverOptions(newer));
    const second = open();
    await once(second, 'secureConnect');
    expect(second.getPeerCertificate().serialNumber).not.toBe(first.getPeerCertificate().serialNumber);
    first.end('still here');
    expect(String((await once(first, 'data'))[0])).toBe('still here');
    second.destroy();
    echo.close();
  });
});

describe('a request for a certificate', () => {
  it('is refused if it is none, is not signed with its own key, or is too long', async () => {
    const { request } = await requestCertificate();
    const other = await requestCertificate();
    const lines = [request, other.request].map((text) => text.trim().split('\n'));
    const bytes = lines.map((each) => Buffer.from(each.slice(1, -1).join(''), 'base64'));
    // The key of one request, and the signature of another.
    const [one, two] = bytes as [Buffer, Buffer];
    const forged = Buffer.from(one);
    two.copy(forged, forged.length - 40, two.length - 40);
    for (const bad of ['', 'x'.repeat(5_000), 'nothing', forged.toString('base64')]) {
      await expect(certifyMember(ours, bad, newIdentity('node', 'a'), NOW)).rejects.toThrow(
        BadCertificateRequest,
      );
    }
  });

  it('names nobody: the authority does', async () => {
    const { request } = await requestCertificate();
    for (const name of ['', 'a b', 'a:b', 'x'.repeat(65), 'a,URI:islet:api:x']) {
      await expect(certifyMember(ours, request, newIdentity('node', name), NOW)).rejects.toThrow(TypeError);
    }
  });
});

it('names an authority by a fingerprint', () => {
  expect(fingerprintOf(ours.cert)).toMatch(/^[0-9a-f]{64}$/);
  expect(fingerprintOf(ours.cert)).not.toBe(fingerprintOf(theirs.cert));
  expect(fingerprintOf(node.authority)).toBe(fingerprintOf(ours.cert));
});

describe('a member that was away for longer than its certificate lasts', () => {
  const past = new Date(NOW.getTime() - 2 * DAY_MS);

  /** Who a server of ours takes the client for if it looks at nothing but the time. */
  async function seen(credentials: Certificate): Promise<Identity | undefined> {
    let found: Identity | undefined;
    const options = { ...serverOptions(api), rejectUnauthorized: false };
    const server = createServer(options, (socket) => {
      found = lapsedPeerOf(socket, ours.cert, ['edge', 'node']);
      socket.end('seen');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    expect(await hear(server, showing(credentials))).toBe('seen');
    server.close();
    return found;
  }

  it('is known, and nobody else is', async () => {
    expect(await seen(await member(ours, 'node', 'late', past))).toMatchObject({
      role: 'node',
      name: 'late',
    });
    for (const other of [
      await member(ours, 'node'),
      await member(ours, 'api', 'late', past),
      await member(theirs, 'node', 'late', past),
      await member(await member(ours, 'node'), 'node', 'late', past),
      { cert: '', key: '' },
    ]) {
      expect(await seen(other)).toBeUndefined();
    }
  });
});
