import type { Server } from 'node:http';
import { Agent, createServer } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import type { ConnectRouter, Transport } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import {
  boundHandshakes,
  type Expected,
  type Identity,
  type LinkClient,
  type LinkCredentials,
  linkClient,
  peerOf,
  type Role,
  type Stranger,
  serverOptions,
} from '@islet/certificates';
import type { PeerNode } from '@islet/orchestrator';
import { traceAnswers, traceCalls } from '@islet/telemetry';
import { transportTo } from '../roles/processes/transport.ts';
import { LOCAL_HOST } from '../up/claim.ts';
import { CALLER_LIMITS, createNodeServer, MESSAGE_BYTES } from '../up/node-server.ts';
import type { ClusterMember } from './member.ts';

/** Of one address: a member makes a few at once when it starts. */
const HANDSHAKES = 64;

/** How long a member keeps a connection that it does not use, ms; shorter than servers do, see `CALLER_LIMITS`. */
const UNUSED_MS = 300_000;

/** How a node answers the parts of its installation, and nobody else. */
export interface NodeLinks {
  /** The address that its ports listen on. */
  host: string;
  /** A server that answers APIs, and other nodes as far as `forNodes` goes. */
  serve(routes: Routes, forNodes?: Routes): Server;
  /** The way to the services of another node. */
  connect(peer: PeerNode): Transport;
  /** Answers members not any more that were removed from the cluster. */
  refuse(memberIds: readonly string[]): void;
  /** The member of a cluster that it is. Undefined: all parts are on this machine. */
  member?: ClusterMember;
}

type Routes = (router: ConnectRouter) => void;

/** Of an installation on one machine, whose parts share a token. */
export function localLinks(token: string): NodeLinks {
  return {
    host: LOCAL_HOST,
    serve: (routes, forNodes) =>
      createNodeServer(token, (router) => {
        routes(router);
        forNodes?.(router);
      }),
    connect: ({ url }) => transportTo(url, token),
    refuse: () => undefined,
  };
}

/** Of a node of a cluster. @param host the address of this machine that others reach */
export function memberLinks(member: ClusterMember, host: string): NodeLinks {
  const refused = new Set<string>();
  return {
    ...{ host, member },
    serve: (api, node) => createMemberServer(member, { api, ...(node && { node }) }, refused),
    refuse: (memberIds) => {
      for (const id of memberIds) refused.add(id);
    },
    connect: ({ url, name, memberId }) =>
      transportToMember(member.credentials, url, {
        role: 'node',
        name,
        ...(memberId !== undefined && { memberId }),
      }),
  };
}

/**
 * A server that answers members of these roles alone, each what is for it. All others are cut off behind the handshake: no byte of what
 * they send is read, and none is answered.
 * @param refused ids of members that are not answered from the next request on
 */
export function createMemberServer(
  member: ClusterMember,
  routes: Partial<Record<Role, Routes>>,
  refused: ReadonlySet<string> = new Set(),
): Server {
  const serve = new Map(
    Object.entries(routes).map(([role, each]) => [
      role as Role,
      connectNodeAdapter({ routes: each, readMaxBytes: MESSAGE_BYTES, interceptors: [traceAnswers] }),
    ]),
  );
  const roles = [...serve.keys()];
  const callers = new WeakMap<object, Identity>();
  const server = createServer(
    { ...CALLER_LIMITS, ...serverOptions(member.credentials()) },
    (request, response) => {
      const caller = callers.get(request.socket);
      const answer = caller && !refused.has(caller.memberId) && serve.get(caller.role);
      if (answer) answer(request, response);
      else request.socket.destroy();
    },
  );
  server.maxConnections = CALLER_LIMITS.maxConnections;
  admitOnly(server, (socket) => {
    const peer = peerOf(socket, roles);
    if (!peer || refused.has(peer.memberId)) return false;
    callers.set(socket, peer);
    return true;
  });
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
  return createConnectTransport({
    ...{ baseUrl, httpVersion: '1.1', nodeOptions: { agent } },
    interceptors: [traceCalls],
  });
}

/** Makes each connection with what its member shows at that time, and resumes none. */
class MemberAgent extends Agent {
  readonly #credentials: () => LinkCredentials | Stranger;
  readonly #expected: Expected;
  /** With the newest credentials. */
  #newest: { credentials: LinkCredentials | Stranger; client: LinkClient } | undefined;

  constructor(credentials: () => LinkCredentials | Stranger, expected: Expected) {
    super({ keepAlive: true, timeout: UNUSED_MS, maxCachedSessions: 0 });
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
