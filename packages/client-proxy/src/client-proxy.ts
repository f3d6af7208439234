import type { AddressInfo } from 'node:net';
import type { CatalogReader, Wake } from '@islet/catalog';
import type { HostPattern } from '@islet/contracts';
import {
  createUpstreamPool,
  DEFAULT_PLACES,
  Front,
  HEAD_TIMEOUT_MS,
  type PlaceLimits,
  type RunUses,
  Turns,
} from '@islet/proxy';
import type { Logger } from '@islet/telemetry';
import { type ConnectionLimits, DEFAULT_CONNECTIONS } from './limits/client-connections.ts';
import { EdgeRouter } from './routing/edge-router.ts';
import { watchRuns } from './routing/run-watch.ts';
import { EdgeListener } from './server/edge-listener.ts';
import type { Certificate } from './tls/certificate.ts';

export interface ClientProxyOptions {
  catalog: CatalogReader;
  /** envd's port in every sandbox. */
  envdPort: number;
  /** Names it answers to, besides loopback names and IP addresses; every name if absent. */
  hosts?: readonly HostPattern[];
  logger: Logger;
  /** What TLS begins with; undefined: it is not answered. */
  certificate: Certificate | undefined;
  /** Wakes paused sandboxes. Without it a sandbox that is not running is not found. */
  wake?: Wake;
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
  /** How often the catalog is asked whether sandboxes with open connections still run. */
  runCheckMs?: number;
}

/** The edge: everything that reaches sandboxes from outside goes through it. */
export interface ClientProxy {
  listen(options: { host: string; port: number }): Promise<void>;
  address(): AddressInfo;
  /** Serves another certificate from now on; connections that are open go on. */
  useCertificate(certificate: Certificate): void;
  /** True between `listen` and `close`. */
  isServing(): boolean;
  /**
   * A run is over for good (the sandbox was killed or paused): ends its connections behind what the sandbox had sent, and makes no
   * new ones. Nobody has to call it: those of runs that the catalog does not know any more are ended within `runCheckMs`.
   */
  closeRun(executionId: string): void;
  /** Cuts a run's connections; exchanges under way have up to `graceMs` to end. It may go on. */
  drainRun(executionId: string, graceMs: number): void;
  /** Takes no more connections, gives requests `drainMs` (default 0) to end, then ends them. */
  close(drainMs?: number): Promise<void>;
}

/** Longer than load balancers keep theirs, shorter than the node's hop. */
const KEEPALIVE_MS = 610_000;
const RUN_CHECK_MS = 2000;

export function createClientProxy(options: ClientProxyOptions): ClientProxy {
  const { catalog, envdPort, logger, connectionLimit } = options;
  const pool = createUpstreamPool(envdPort);
  const admission = { envdPort, connectionLimit };
  const router = new EdgeRouter({ catalog, admission, wake: options.wake, hosts: options.hosts });
  const turns = options.turns ?? new Turns();
  const front = new Front({
    pool,
    turns,
    uses: options.uses,
    logger,
    resolve: (request) => router.resolve(request),
    isRunning: (run) => router.isRunning(run),
    places: options.places ?? DEFAULT_PLACES,
  });
  let listener: EdgeListener | undefined;
  let stopWatching = () => {};

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
      stopWatching = watchRuns({
        pool,
        isRunning: (run) => router.isRunning(run),
        logger,
        intervalMs: options.runCheckMs ?? RUN_CHECK_MS,
      });
    },
    address: () => listening().address(),
    useCertificate: (certificate) => listening().useCertificate(certificate),
    isServing: () => listener !== undefined,
    closeRun: (executionId) => pool.closeRun(executionId),
    drainRun: (executionId, graceMs) => pool.drainRun(executionId, graceMs),
    async close(drainMs = 0) {
      stopWatching();
      const closing = listener;
      listener = undefined;
      await closing?.close(drainMs);
      pool.close();
    },
  };
}
