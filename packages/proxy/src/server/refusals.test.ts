import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { RouteTable } from '@islet/catalog';
import {
  certifyMember,
  type LinkCredentials,
  linkClient,
  makeClusterAuthority,
  newIdentity,
  requestCertificate,
} from '@islet/certificates';
import { createLogger } from '@islet/telemetry';
import { expect, it } from 'vitest';
import { createSandboxProxy } from './sandbox-proxy.ts';

it('cuts off members that were removed, and answers them no more', async () => {
  const now = new Date();
  const authority = await makeClusterAuthority(now);
  const member = async (identity: ReturnType<typeof newIdentity>): Promise<LinkCredentials> => {
    const { key, request } = await requestCertificate();
    return { ...(await certifyMember(authority, request, identity, now)), key, authority: authority.cert };
  };
  const [removed, stays] = [newIdentity('edge', 'removed'), newIdentity('edge', 'stays')];
  const proxy = createSandboxProxy({
    routes: new RouteTable(Date.now),
    logger: createLogger({ service: 'proxy-test', level: 'silent' }),
    links: await member(newIdentity('node', 'one')),
  });
  proxy.server.listen(0, '127.0.0.1');
  await once(proxy.server, 'listening');
  const { port } = proxy.server.address() as AddressInfo;
  const credentials = new Map([
    [removed, await member(removed)],
    [stays, await member(stays)],
  ]);
  const open = async (identity: typeof removed): Promise<TLSSocket> => {
    const shown = credentials.get(identity) as LinkCredentials;
    const socket = connect({ ...linkClient(shown)({ role: 'node', name: 'one' }), host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    // Who is refused may be cut off before its own side of the handshake is through.
    await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]);
    return socket;
  };
  /** The first line of an answer; '' if the connection ends without one. */
  const ask = async (socket: TLSSocket): Promise<string> => {
    if (socket.destroyed) return '';
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const heard = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])]);
    return String(heard[0]).split('\r\n')[0] ?? '';
  };
  try {
    const kept = [await open(removed), await open(stays)] as const;
    for (const socket of kept) expect(await ask(socket)).toBe('HTTP/1.1 400 Bad Request');
    const cut = once(kept[0], 'close');
    proxy.refuse([removed.memberId]);
    await cut;
    expect(await ask(await open(removed))).toBe('');
    expect(await ask(kept[1])).toBe('HTTP/1.1 400 Bad Request');
    expect(await ask(await open(stays))).toBe('HTTP/1.1 400 Bad Request');
    for (const socket of kept) socket.destroy();
  } finally {
    await proxy.close();
  }
});
