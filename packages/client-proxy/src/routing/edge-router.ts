import { setTimeout as sleep } from 'node:timers/promises';
import type { CatalogEntry, CatalogReader, Wake } from '@islet/catalog';
import { answersTo, type HostPattern, IsletError, orchestratorProto, parseAuthority } from '@islet/contracts';
import {
  type AdmissionSettings,
  admit,
  type Destination,
  type ProxyRequest,
  parseTarget,
  type RunId,
  refuseReserved,
  SANDBOX_ID_HEADER,
  SANDBOX_PORT_HEADER,
  sandboxGone,
  sandboxRefused,
  servesTraffic,
  type Target,
  TRAFFIC_TOKEN_HEADER,
  toSandboxRoute,
} from '@islet/proxy';
import { HeldRequests } from './held-requests.ts';
import { SignedFileRouter } from './signed-files.ts';

export interface EdgeRouterOptions {
  catalog: CatalogReader;
  admission: AdmissionSettings;
  wake: Wake | undefined;
  /** Names that the edge answers to; undefined: every one. */
  hosts: readonly HostPattern[] | undefined;
}

const { SandboxState } = orchestratorProto;

function isReachable(entry: CatalogEntry | undefined): entry is CatalogEntry {
  return entry !== undefined && servesTraffic(entry.sandbox);
}

/**
 * How long requests are held while a sandbox is being snapshotted, and how often is looked whether it serves again,
 * ms.
 */
const HOLD_MS = 30_000;
const HOLD_INTERVAL_MS = 5;

/** `host:port`, also `[v6]:port`. */
function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  if (!match) throw new TypeError(`a node's proxy address must be host:port, not ${JSON.stringify(address)}`);
  return { host: match[1] ?? match[2] ?? '', port: Number(match[3]) };
}

function transitioning(sandboxId: string): IsletError {
  return sandboxRefused(409, sandboxId, 'The sandbox is still transitioning. Try again in a moment.');
}

/**
 * Whoever owns a domain can make its names lead here, and a page of such a name could read what sandboxes answer.
 * @throws IsletError for a name that is not the edge's.
 */
function refuseForeignName(host: string | undefined, allowed: readonly HostPattern[]): void {
  if (host === undefined || host === '') return;
  const authority = parseAuthority(host);
  if (!authority) throw new IsletError(400, 'Invalid host');
  if (answersTo(allowed, authority.host)) return;
  throw new IsletError(
    403,
    `no sandbox is reached by the name ${authority.host}: if it is yours, start Islet with --allow-host, or with ` +
      '--domain where it is that of all sandboxes',
  );
}

/** Decides where the edge sends a request. */
export class EdgeRouter {
  readonly #options: EdgeRouterOptions;
  readonly #signedFiles: SignedFileRouter;
  readonly #held = new HeldRequests();

  constructor(options: EdgeRouterOptions) {
    this.#options = options;
    this.#signedFiles = new SignedFileRouter(options.catalog);
  }

  /** @throws IsletError for the client where the request goes nowhere. */
  async resolve(request: ProxyRequest): Promise<Destination> {
    const { admission, hosts } = this.#options;
    if (hosts) refuseForeignName(request.host, hosts);
    const target = parseTarget({
      host: request.host,
      sandboxId: request.header(SANDBOX_ID_HEADER),
      port: request.header(SANDBOX_PORT_HEADER),
    });
    if (!target) return this.#resolveUnnamed(request);
    refuseReserved(target, request, admission.envdPort);
    return this.#destination(await this.#entry(target, request), target, request, []);
  }

  /** Whether a run still is its sandbox's current one. */
  async isRunning(run: RunId): Promise<boolean> {
    const entry = await this.#options.catalog.get(run.sandboxId);
    return isReachable(entry) && entry.sandbox.executionId === run.executionId;
  }

  async #resolveUnnamed(request: ProxyRequest): Promise<Destination> {
    if (!this.#signedFiles.claims(request.method, request.target)) throw new IsletError(400, 'Invalid host');
    const { sandbox } = await this.#signedFiles.find(request.method, request.target);
    const sandboxId = sandbox.config?.sandboxId ?? '';
    const entry = await this.#settled(sandboxId);
    if (!isReachable(entry)) throw sandboxGone(sandboxId);
    const target = { sandboxId, port: this.#options.admission.envdPort };
    // The node cannot find it out again: it is told.
    const routing = [SANDBOX_ID_HEADER, sandboxId, SANDBOX_PORT_HEADER, String(target.port)];
    return this.#destination(entry, target, request, routing);
  }

  async #entry(target: Target, request: ProxyRequest): Promise<CatalogEntry> {
    const { wake } = this.#options;
    const { sandboxId, port } = target;
    const entry = await this.#settled(sandboxId);
    if (isReachable(entry)) return entry;
    if (!wake) throw sandboxGone(sandboxId);
    const credentials = {
      port,
      envdAccessToken: request.header('x-access-token'),
      trafficAccessToken: request.header(TRAFFIC_TOKEN_HEADER),
    };
    const outcome = await this.#held.during(sandboxId, () => wake(sandboxId, credentials));
    switch (outcome.kind) {
      case 'resumed':
        return outcome.entry;
      case 'not-found':
        throw sandboxGone(sandboxId);
      case 'refused':
        throw sandboxRefused(
          403,
          sandboxId,
          "This sandbox can't be resumed with the credentials provided. Check your access token and try again.",
        );
      case 'transitioning':
        throw transitioning(sandboxId);
      case 'limit-reached':
        throw sandboxRefused(429, sandboxId, outcome.message);
    }
  }

  /** Holds a request while its sandbox is stopped for a snapshot: it goes on from the same instant within moments. */
  async #settled(sandboxId: string): Promise<CatalogEntry | undefined> {
    const entry = await this.#options.catalog.get(sandboxId);
    if (entry?.sandbox.state !== SandboxState.SNAPSHOTTING) return entry;
    return this.#held.together(sandboxId, () => this.#settle(sandboxId));
  }

  async #settle(sandboxId: string): Promise<CatalogEntry | undefined> {
    const deadline = performance.now() + HOLD_MS;
    for (;;) {
      const entry = await this.#options.catalog.get(sandboxId);
      if (entry?.sandbox.state !== SandboxState.SNAPSHOTTING) return entry;
      if (performance.now() > deadline) throw transitioning(sandboxId);
      await sleep(HOLD_INTERVAL_MS);
    }
  }

  #destination(
    entry: CatalogEntry,
    target: Target,
    request: ProxyRequest,
    nodeFields: readonly string[],
  ): Destination {
    const { admission } = this.#options;
    const { sandbox, route } = entry;
    if (route.kind === 'direct') return admit(toSandboxRoute(sandbox), target, request, admission);
    return {
      upstream: {
        sandboxId: target.sandboxId,
        executionId: sandbox.executionId,
        tenant: sandbox.config?.teamId ?? '',
        ...parseAddress(route.proxyAddress),
      },
      sandboxPort: target.port,
      hop: 'node',
      attempts: 1,
      // The node keeps its side longer than we keep ours.
      reuse: 'any',
      changes: { maskedHost: undefined, extraFields: nodeFields },
      connectionLimit: undefined,
    };
  }
}
