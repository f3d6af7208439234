import type { Server as HttpServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { type RouteView, servesTraffic } from '@islet/catalog';
import { boundHandshakes, type LinkCredentials, peerOf, serverOptions } from '@islet/certificates';
import { Deadline, invalidHost } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import { sandboxGone, sandboxMoved, sandboxTransitioning } from '../errors/proxy-error.ts';
import { Turns } from '../fairness/turns.ts';
import type { ProxyRequest } from '../forwarding/proxy-request.ts';
import { type AdmissionSettings, admit, DEFAULT_ADMISSION, refuseReserved } from '../routing/admission.ts';
import { endWithRuns } from '../routing/run-ends.ts';
import { runFate } from '../routing/run-fate.ts';
import { parseTarget, SANDBOX_ID_HEADER, SANDBOX_PORT_HEADER, type Target } from '../routing/target.ts';
import { UpstreamPool, type UpstreamPoolOptions } from '../upstream/pool.ts';
import { ProxyFigures } from './figures.ts';
import { Front } from './front.ts';
import { createHttp1Server, HEAD_TIMEOUT_MS } from './http-server.ts';
import type { RunUses } from './run-uses.ts';

export interface SandboxProxyOptions {
  /** To the sandboxes of this node. */
  routes: RouteView;
  logger: Logger;
  admission?: AdmissionSettings;
  /** See `FrontOptions`. */
  turns?: Turns;
  /** See `FrontOptions`. */
  uses?: RunUses;
  /** Of the node in its cluster: edges and APIs of it alone are answered. Absent: plain HTTP. */
  links?: LinkCredentials | undefined;
}

/** The node's hop from the edge into its sandboxes. */
export interface SandboxProxy {
  /** Not listening yet. */
  readonly server: Server;
  /** What it shows in handshakes from now on. */
  useLinks(links: LinkCredentials): void;
  /** Answers these members of the cluster no more, and cuts them off; who was named before stays out. */
  refuse(memberIds: readonly string[]): void;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

/** Longer than the edge keeps its side, so that it never meets a connection that we are closing. */
const KEEPALIVE_MS = 620_000;
const MAX_CONNECTIONS = 16_384;
/** How long a request waits that was cut off by a snapshot, as long as the edge has it wait, ms. */
const SNAPSHOT_MS = 30_000;
/** Of one address: an edge dials for many clients at a time. */
const HANDSHAKES = 1_024;

export function createSandboxProxy(options: SandboxProxyOptions): SandboxProxy {
  const { routes, logger, admission = DEFAULT_ADMISSION, turns = new Turns() } = options;
  const pool = createUpstreamPool(admission.envdPort);
  const stopEnding = endWithRuns(routes, pool);
  const figures = new ProxyFigures('orchestrator');
  const resolve = (request: ProxyRequest) => {
    const target = targetOf(request);
    refuseReserved(target, request, admission.envdPort);
    const route = routes.find(target.sandboxId);
    // The edge has not heard of it yet.
    if (route?.moving) throw sandboxMoved(target.sandboxId);
    if (!route || !servesTraffic(route)) throw sandboxGone(target.sandboxId);
    return admit(route, target, request, admission);
  };
  const front = new Front({
    pool,
    figures,
    turns,
    uses: options.uses,
    logger,
    resolve,
    resolveAgain: async (request) => {
      const { sandboxId } = targetOf(request);
      using deadline = new Deadline(SNAPSHOT_MS);
      await routes
        .until(sandboxId, (route) => route?.state !== 'snapshotting', deadline.signal)
        .catch((error: unknown) => {
          throw deadline.passed ? sandboxTransitioning(sandboxId) : error;
        });
      return resolve(request);
    },
    fateOf: (run) => runFate(run, routes.find(run.sandboxId)),
  });
  const server = createHttp1Server({
    keepAliveMs: KEEPALIVE_MS,
    headTimeoutMs: HEAD_TIMEOUT_MS,
  });
  front.attach(server, (socket) => server.emit('connection', socket));
  const stranger = turns.of('connections of edges');
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections++;
    socket.once('close', () => connections--);
    front.pace(socket, stranger);
  });
  figures.open({
    connections: () => connections,
    pool: () => pool.counts(),
    places: () => front.places(),
  });
  const refused = new Set<string>();
  const members = new Map<Socket, string>();
  const secure = options.links && secured(server, options.links, { members, refused });
  const listening = secure ?? server;
  // All of them are edges', which hold clients to limits of their own.
  listening.maxConnections = MAX_CONNECTIONS;
  return {
    server: listening,
    useLinks: (links) => secure?.setSecureContext(serverOptions(links)),
    refuse: (memberIds) => {
      for (const id of memberIds) refused.add(id);
      for (const [socket, id] of members) if (refused.has(id)) socket.destroy();
    },
    close: () =>
      new Promise((resolve) => {
        stopEnding();
        figures[Symbol.dispose]();
        listening.close(() => resolve());
        pool.close();
        server.closeAllConnections();
        // An HTTP server that does not listen itself knows none of its connections.
        for (const socket of members.keys()) socket.destroy();
      }),
  };
}

/** Hands a server the connections of the cluster's edges and APIs; all others are cut off behind the handshake. */
function secured(
  server: HttpServer,
  links: LinkCredentials,
  { members, refused }: { members: Map<Socket, string>; refused: ReadonlySet<string> },
) {
  const secure = createTlsServer(serverOptions(links), (socket) => {
    const peer = peerOf(socket, ['api', 'edge']);
    if (!peer || refused.has(peer.memberId)) {
      socket.destroy();
      return;
    }
    members.set(socket, peer.memberId);
    socket.once('close', () => members.delete(socket));
    server.emit('connection', socket);
  });
  secure.on('tlsClientError', (_, socket) => socket.destroy());
  boundHandshakes(secure, HANDSHAKES);
  return secure;
}

/**
 * The sandbox and port that a request names.
 * @throws IsletError 400
 */
export function targetOf(request: ProxyRequest): Target {
  const target = parseTarget({
    host: request.host,
    sandboxId: request.header(SANDBOX_ID_HEADER),
    port: request.header(SANDBOX_PORT_HEADER),
  });
  if (!target) throw invalidHost();
  return target;
}

/** Servers of users often close after 5 s: ours goes first. */
const USER_IDLE_MS = 4000;
/** envd keeps its side for 640 s. */
const ENVD_IDLE_MS = 620_000;
const MAX_IDLE_PER_RUN = 256;
const MAX_DIALS_PER_RUN = 64;

/** Connections to sandboxes, with the idle times that fit envd and servers of users. */
export function createUpstreamPool(envdPort: number, secure?: UpstreamPoolOptions['secure']): UpstreamPool {
  return new UpstreamPool({
    secure,
    idleMs: (port) => (port === envdPort ? ENVD_IDLE_MS : USER_IDLE_MS),
    now: () => performance.now(),
    maxIdlePerRun: MAX_IDLE_PER_RUN,
    maxDialsPerRun: MAX_DIALS_PER_RUN,
  });
}
