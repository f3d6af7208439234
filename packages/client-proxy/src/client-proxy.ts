import type { AddressInfo } from 'node:net';
import type { FindSigner, RouteView } from '@islet/catalog';
import { type Certificate, type LinkClient, type LinkCredentials, linkClient } from '@islet/certificates';
import type { HostPattern } from '@islet/contracts';
import {
  createUpstreamPool,
  DEFAULT_PLACES,
  endWithRuns,
  Front,
  HEAD_TIMEOUT_MS,
  type PlaceLimits,
  ProxyFigures,
  type RunUses,
  Turns,
} from '@islet/proxy';
import type { Logger } from '@islet/telemetry';
import { type ConnectionLimits, DEFAULT_CONNECTIONS } from './limits/client-connections.ts';
import { EdgeRouter } from './routing/edge-router.ts';
import type { LookUp } from './routing/look-ups.ts';
import type { WakeGate } from './routing/wake-gate.ts';
import { EdgeListener } from './server/edge-listener.ts';

export interface ClientProxyOptions {
  routes: RouteView;
  /** envd's port in every sandbox. */
  envdPort: number;
  /** Names it answers to, besides loopback names and IP addresses; every name if absent. */
  hosts?: readonly HostPattern[];
  logger: Logger;
  /** What TLS begins with; undefined: it is not answered. */
  certificate: Certificate | undefined;
  /** Wakes paused sandboxes. Without it a sandbox that is not running is not found. */
  wake?: WakeGate;
  /** Without it a signed file URL has to name its sandbox. */
  findSigner?: FindSigner;
  /** For routes that are written in another process, whose news may come later than a request. */
  lookUp?: LookUp | undefined;
  /** Requests and tunnels to one sandbox at once, if it is to be less than `DEFAULT_PLACES` of the proxy allows. */
  connectionLimit?: number;
  /** Client connections at once; `DEFAULT_CONNECTIONS` if absent. */
  connections?: ConnectionLimits;
  /** Requests and tunnels of all sandboxes and of each; `DEFAULT_PLACES` if absent. */
  places?: PlaceLimits;
  /** See `FrontOptions`. */
  turns?: Turns;
  /** See `FrontOptions`. */
  uses?: RunUses;
  /** Of the edge in its cluster, for connections to nodes; absent: they are plain HTTP. */
  links?: LinkCredentials | undefined;
}

/** The edge: everything that reaches sandboxes from outside goes through it. */
export interface ClientProxy {
  listen(options: { host: string; port: number }): Promise<void>;
  address(): AddressInfo;
  /** Serves another certificate from now on; connections that are open go on. */
  useCertificate(certificate: Certificate): void;
  /** What it shows nodes from now on; connections that are open go on. */
  useLinks(links: LinkCredentials): void;
  /** Takes no more connections, gives requests `drainMs` (default 0) to end, then ends them. */
  close(drainMs?: number): Promise<void>;
}

/** Longer than load balancers keep theirs, shorter than the node's hop. */
const KEEPALIVE_MS = 610_000;

export function createClientProxy(options: ClientProxyOptions): ClientProxy {
  const { routes, envdPort, logger, connectionLimit, wake, findSigner, lookUp, hosts } = options;
  let client: LinkClient | undefined = options.links && linkClient(options.links);
  const pool = createUpstreamPool(envdPort, (name) => client?.({ role: 'node', name }));
  const admission = { envdPort, connectionLimit };
  const router = new EdgeRouter({ routes, admission, wake, findSigner, lookUp, hosts });
  const turns = options.turns ?? new Turns();
  const figures = new ProxyFigures('client_proxy');
  const front = new Front({
    pool,
    figures,
    turns,
    uses: options.uses,
    logger,
    resolve: (request) => router.resolve(request),
    fateOf: (run) => router.fateOf(run),
    places: options.places ?? DEFAULT_PLACES,
  });
  let listener: EdgeListener | undefined;
  const stopEnding = endWithRuns(routes, pool);

  figures.open({
    connections: () => listener?.connections ?? 0,
    pool: () => pool.counts(),
    places: () => front.places(),
  });

  const listening = (): EdgeListener => {
    if (!listener) throw new Error('the edge is not listening');
    return listener;
  };

  return {
    async listen(address) {
      if (listener) throw new Error('the edge is listening already');
      const limits = { keepAliveMs: KEEPALIVE_MS, headTimeoutMs: HEAD_TIMEOUT_MS };
      const connections = options.connections ?? DEFAULT_CONNECTIONS;
      const opened = new EdgeListener({
        front,
        turns,
        limits,
        connections,
        certificate: options.certificate,
      });
      await opened.listen(address);
      listener = opened;
    },
    address: () => listening().address(),
    useCertificate: (certificate) => listening().useCertificate(certificate),
    useLinks: (links) => {
      client = linkClient(links);
    },
    async close(drainMs = 0) {
      const closing = listener;
      listener = undefined;
      await closing?.close(drainMs);
      stopEnding();
      figures[Symbol.dispose]();
      pool.close();
    },
  };
}
