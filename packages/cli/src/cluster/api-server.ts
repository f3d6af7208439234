import type { Server, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import {
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import type { Members } from '@islet/api';
import {
  type Identity,
  type LinkCredentials,
  lapsedPeerOf,
  peerOf,
  serverOptions,
} from '@islet/certificates';
import { memberRemoved } from '@islet/contracts';
import { CALLER_LIMITS, MESSAGE_BYTES } from '../up/node-server.ts';
import { admitOnly, renewWith } from './links.ts';
import type { ClusterMember } from './member.ts';

/** Those who join, at once. */
const STRANGERS = 64;
/** To say what they want, and hear the answer, ms. */
const STRANGER_MS = 30_000;
const STRANGER_BYTES = 16 * 1024;

const MEMBERS = ['edge', 'node'] as const;

const PEER = createContextKey<Identity | undefined>(undefined);

/** Who calls a service of an API's server. */
export function callerOf({ values }: HandlerContext): Identity | undefined {
  return values.get(PEER);
}

export interface ApiServerOptions {
  member: ClusterMember;
  members: Pick<Members, 'has' | 'watch'>;
  /** What edges may ask. */
  forEdges: (router: ConnectRouter) => void;
  /** What every member may ask. */
  forMembers: (router: ConnectRouter) => void;
  /** What those may ask whose certificate has ended. */
  forLapsed: (router: ConnectRouter) => void;
  /** What may be asked without a certificate. */
  forStrangers: (router: ConnectRouter) => void;
}

/**
 * What the API of a cluster answers its members, and those who join. A member that is removed is cut off as soon as the
 * members are known anew.
 */
export function createApiServer({ member, members, ...routes }: ApiServerOptions): Server {
  const connected = new Map<TLSSocket, Identity>();
  const lapsed = new WeakSet<TLSSocket>();
  let strangers = 0;
  const contextValues = ({ socket }: { socket: unknown }) =>
    createContextValues().set(PEER, connected.get(socket as TLSSocket));
  const adapt = (routes: (router: ConnectRouter) => void, readMaxBytes = MESSAGE_BYTES) =>
    connectNodeAdapter({ routes, readMaxBytes, contextValues });
  const serve = {
    edge: adapt((router) => {
      routes.forMembers(router);
      routes.forEdges(router);
    }),
    node: adapt(routes.forMembers),
    lapsed: adapt(routes.forLapsed, STRANGER_BYTES),
    stranger: adapt(routes.forStrangers, STRANGER_BYTES),
  };
  const server = createServer(
    { ...CALLER_LIMITS, ...optionsOf(member.credentials()) },
    (request, response) => {
      const socket = request.socket as TLSSocket;
      const peer = connected.get(socket);
      if (!peer) return serve.stranger(request, response);
      members.has(peer.memberId).then(
        (isMember) => {
          if (!isMember) refuse(response);
          else
            serve[lapsed.has(socket) ? 'lapsed' : peer.role === 'edge' ? 'edge' : 'node'](request, response);
        },
        () => socket.destroy(),
      );
    },
  );
  server.maxConnections = CALLER_LIMITS.maxConnections;
  admitOnly(server, (socket) => {
    const past = lapsedPeerOf(socket, member.credentials().authority, MEMBERS);
    if (past) lapsed.add(socket);
    const peer = past ?? peerOf(socket, MEMBERS);
    if (peer) {
      connected.set(socket, peer);
      socket.once('close', () => connected.delete(socket));
      return true;
    }
    // A member of another cluster is a stranger as well.
    if (strangers >= STRANGERS) return false;
    strangers++;
    const timer = setTimeout(() => socket.destroy(), STRANGER_MS).unref();
    socket.once('close', () => {
      strangers--;
      clearTimeout(timer);
    });
    return true;
  });
  renewWith(member, server, optionsOf);
  const unwatch = members.watch((all) => {
    const ids = new Set(all.map(({ id }) => id));
    for (const [socket, { memberId }] of connected)
      if (!ids.has(memberId)) void severUnless(socket, memberId);
  });
  /** One that has just joined at another API may not be known yet. */
  async function severUnless(socket: TLSSocket, memberId: string): Promise<void> {
    if (!(await members.has(memberId))) socket.destroy();
  }
  server.once('close', unwatch);
  return server;
}

/** Tells who is no member any more why nothing is answered, in the form in which Connect tells errors. */
function refuse(response: ServerResponse): void {
  const { message } = memberRemoved();
  response.writeHead(403, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(JSON.stringify({ code: 'permission_denied', message }));
}

/** Who has no certificate may join. */
function optionsOf(credentials: LinkCredentials) {
  return { ...serverOptions(credentials), rejectUnauthorized: false };
}
