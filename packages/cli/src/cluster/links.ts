import type { Server } from 'node:http';
import { Agent, createServer } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import type { ConnectRouter, Transport } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import {
  boundHandshakes,
  type Expected,
  type LinkClient,
  type LinkCredentials,
  linkClient,
  peerOf,
  type Role,
  type Stranger,
  serverOptions,
} from '@islet/certificates';
import { LOCAL_HOST } from '../up/claim.ts';
import { CALLER_LIMITS, createNodeServer, MESSAGE_BYTES } from '../up/node-server.ts';
import type { ClusterMember } from './member.ts';

/** Of one address: a member makes a few at once when it starts. */
const HANDSHAKES = 64;

/** How a node answers the parts of its installation, and nobody else. */
export interface NodeLinks {
  /** The address that its ports listen on. */
  host: string;
  /** A server that answers APIs alone. */
  serve(routes: (router: ConnectRouter) => void): Server;
  /** The member of a cluster that it is. Undefined: all parts are on this machine. */
  member?: ClusterMember;
}

/** Of an installation on one machine, whose parts share a token. */
export function localLinks(token: string): NodeLinks {
  return { host: LOCAL_HOST, serve: (routes) => createNodeServer(token, routes) };
}

/** Of a node of a cluster. @param host the address of this machine that others reach */
export function memberLinks(member: ClusterMember, host: string): NodeLinks {
  return { host, member, serve: (routes) => createMemberServer(member, ['api'], routes) };
}

/**
 * A server that answers members of these roles alone. All others are cut off behind the handshake: no byte of what they send
 * is read, and none is answered.
 */
export function createMemberServer(
  member: ClusterMember,
  roles: readonly Role[],
  routes: (router: ConnectRouter) => void,
): Server {
  const serve = connectNodeAdapter({ routes, readMaxBytes: MESSAGE_BYTES });
  const server = createServer({ ...CALLER_LIMITS, ...serverOptions(member.credentials()) }, serve);
  server.maxConnections = CALLER_LIMITS.maxConnections;
  admitOnly(server, (socket) => peerOf(socket, roles) !== undefined);
  renewWith(member, server);
  return server;
}

/** Has a server's HTTP begin only on connections that `admit` lets in; the others are cut off, as are those that say nothing. */
export function admitOnly(
  server: ReturnType<typeof createServer>,
  admit: (socket: TLSSocket) => boolean,
): void {
  const begin = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (!admit(socket)) {
      socket.destroy();
      return;
    }
    for (const listener of begin) listener.call(server, socket);
  });
  boundHandshakes(server, HANDSHAKES);
}

/** For handshakes from then on, the server shows what its member does. */
export function renewWith(
  member: ClusterMember,
  server: ReturnType<typeof createServer>,
  options: (credentials: LinkCredentials) => Parameters<typeof server.setSecureContext>[0] = serverOptions,
): void {
  server.once(
    'close',
    member.follow((credentials) => server.setSecureContext(options(credentials))),
  );
}

/** The way to services of a member, who must be the one that is expected. */
export function transportToMember(
  credentials: () => LinkCredentials | Stranger,
  baseUrl: string,
  expected: Expected,
): Transport {
  const agent = new MemberAgent(credentials, expected);
  return createConnectTransport({ baseUrl, httpVersion: '1.1', nodeOptions: { agent } });
}

/** Makes each connection with what its member shows at that time, and resumes none. */
class MemberAgent extends Agent {
  readonly #credentials: () => LinkCredentials | Stranger;
  readonly #expected: Expected;
  /** With the newest credentials. */
  #newest: { credentials: LinkCredentials | Stranger; client: LinkClient } | undefined;

  constructor(credentials: () => LinkCredentials | Stranger, expected: Expected) {
    super({ keepAlive: true, maxCachedSessions: 0 });
    this.#credentials = credentials;
    this.#expected = expected;
  }

  /** What Node.js calls for a new connection. */
  override createConnection({ host, port }: { host: string; port: number }): TLSSocket {
    const credentials = this.#credentials();
    if (this.#newest?.credentials !== credentials) {
      this.#newest = { credentials, client: linkClient(credentials) };
    }
    const socket = connect({ host, port, ...this.#newest.client(this.#expected) });
    socket.setNoDelay(true);
    return socket;
  }
}
