import { once } from 'node:events';
import { get, type Server } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  type Certificate,
  certifyMember,
  type LinkCredentials,
  linkClient,
  makeClusterAuthority,
  newIdentity,
  type Role,
  requestCertificate,
} from '@islet/certificates';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CALLER_LIMITS } from '../up/node-server.ts';
import { createMemberServer } from './links.ts';

let authority: Certificate;
let server: Server;
let port: number;
const silent = new Set<Socket>();

beforeAll(async () => {
  authority = await makeClusterAuthority(new Date());
  const credentials = await member('node');
  const identity = newIdentity('node', 'one');
  const shown = { identity, credentials: () => credentials, follow: () => () => {}, [Symbol.dispose]() {} };
  server = createMemberServer(shown, { api: () => {} }) as Server;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterEach(() => {
  for (const socket of silent) socket.destroy();
  silent.clear();
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

async function member(role: Role): Promise<LinkCredentials> {
  const { key, request } = await requestCertificate();
  const { cert } = await certifyMember(authority, request, newIdentity(role, 'one'), new Date());
  return { cert, key, authority: authority.cert };
}

/** Connections that never begin their handshake. */
async function saySilence(count: number, localAddress: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {});
    silent.add(socket.once('close', () => silent.delete(socket)));
    await once(socket, 'connect');
  }
}

/** The status that a member is answered with. */
async function asked(credentials: LinkCredentials): Promise<number | undefined> {
  const request = get({
    host: '127.0.0.1',
    port,
    agent: false,
    ...linkClient(credentials)({ role: 'node' }),
  });
  const [response] = await once(request, 'response');
  response.resume();
  return response.statusCode;
}

it.each(['127.0.0.2', '127.0.0.1'])('of %s take no places from members', async (address) => {
  const api = await member('api');
  await saySilence(CALLER_LIMITS.maxConnections + 20, address);
  expect(await asked(api)).toBe(404);
});

it('cut off no member, however many come after it', async () => {
  const before = connectTls({
    port,
    host: '127.0.0.1',
    ...linkClient(await member('api'))({ role: 'node' }),
  });
  await once(before, 'secureConnect');
  await saySilence(200, '127.0.0.1');
  before.write('GET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n');
  const [answer] = await once(before, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1.1 404 /);
});
