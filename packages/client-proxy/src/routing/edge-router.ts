import { type FindSigner, type Route, type RouteView, servesTraffic } from '@islet/catalog';
import {
  answersTo,
  foreignSandboxName,
  type HostPattern,
  invalidHost,
  parseAuthority,
} from '@islet/contracts';
import {
  type AdmissionSettings,
  admit,
  type Destination,
  type ProxyRequest,
  parseTarget,
  type RunFate,
  type RunId,
  refuseReserved,
  runFate,
  SANDBOX_ID_HEADER,
  SANDBOX_PORT_HEADER,
  sandboxGone,
  sandboxTransitioning,
  type Target,
  TRAFFIC_TOKEN_HEADER,
  wakeBeyondLimit,
  wakeRefused,
} from '@islet/proxy';
import { HeldRequests } from './held-requests.ts';
import { boundLookUps, type LookUp } from './look-ups.ts';
import { SignedFileRouter } from './signed-files.ts';
import type { WakeGate } from './wake-gate.ts';

export interface EdgeRouterOptions {
  routes: RouteView;
  admission: AdmissionSettings;
  wake: WakeGate | undefined;
  findSigner: FindSigner | undefined;
  /** Asked if the routes do not tell of a sandbox that serves; absent: they are never behind. */
  lookUp: LookUp | undefined;
  /** Names that the edge answers to; undefined: every one. */
  hosts: readonly HostPattern[] | undefined;
}

function isReachable(route: Route | undefined): route is Route {
  return route !== undefined && servesTraffic(route);
}

function isSettled(route: Route): boolean {
  return route.state !== 'snapshotting' && !route.moving;
}

/** How long requests are held while a sandbox is being snapshotted, or moved: its memory goes over the network, ms. */
const HOLD_MS = { snapshot: 30_000, move: 120_000 };

/** `host:port`, also `[v6]:port`. */
function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  if (!match) throw new TypeError(`a node's proxy address must be host:port, not ${JSON.stringify(address)}`);
  return { host: match[1] ?? match[2] ?? '', port: Number(match[3]) };
}

/**
 * Whoever owns a domain can make its names lead here, and a page of such a name could read what sandboxes answer.
 * @throws IsletError for a name that is not the edge's.
 */
function refuseForeignName(host: string | undefined, allowed: readonly HostPattern[]): void {
  if (host === undefined || host === '') return;
  const authority = parseAuthority(host);
  if (!authority) throw invalidHost();
  if (answersTo(allowed, authority.host)) return;
  throw foreignSandboxName(authority.host);
}

/** Decides where the edge sends a request. */
export class EdgeRouter {
  readonly #options: EdgeRouterOptions;
  readonly #signedFiles: SignedFileRouter;
  readonly #held = new HeldRequests();
  readonly #lookUp: LookUp | undefined;

  constructor(options: EdgeRouterOptions) {
    this.#options = options;
    this.#lookUp = options.lookUp && boundLookUps(options.routes, options.lookUp);
    this.#signedFiles = new SignedFileRouter(options.routes, options.findSigner ?? (async () => undefined));
  }

  /** @throws IsletError for the client if the request goes nowhere. */
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
    return this.#destination(await this.#route(target, request), target, request, []);
  }

  /** What has become of a run. */
  async fateOf(run: RunId): Promise<RunFate> {
    return runFate(run, await this.#current(run.sandboxId));
  }

  async #resolveUnnamed(request: ProxyRequest): Promise<Destination> {
    if (!this.#signedFiles.claims(request.method, request.target)) throw invalidHost();
    const { sandboxId } = await this.#signedFiles.find(request.method, request.target);
    const route = await this.#settled(sandboxId);
    if (!isReachable(route)) throw sandboxGone(sandboxId);
    const target = { sandboxId, port: this.#options.admission.envdPort };
    // The node cannot find it out again: it is told.
    const routing = [SANDBOX_ID_HEADER, sandboxId, SANDBOX_PORT_HEADER, String(target.port)];
    return this.#destination(route, target, request, routing);
  }

  async #route(target: Target, request: ProxyRequest): Promise<Route> {
    const { wake } = this.#options;
    const { sandboxId, port } = target;
    const route = await this.#settled(sandboxId);
    if (isReachable(route)) return route;
    if (!wake || !route) throw sandboxGone(sandboxId);
    const credentials = {
      port,
      envdAccessToken: request.header('x-access-token'),
      trafficAccessToken: request.header(TRAFFIC_TOKEN_HEADER),
    };
    const outcome = await this.#held.during(sandboxId, () => wake(route, credentials));
    switch (outcome.kind) {
      case 'resumed':
        return outcome.route;
      case 'not-found':
        throw sandboxGone(sandboxId);
      case 'refused':
        throw wakeRefused(sandboxId);
      case 'transitioning':
        throw sandboxTransitioning(sandboxId);
      case 'limit-reached':
        throw wakeBeyondLimit(sandboxId, outcome.message);
    }
  }

  /** Holds a request while its sandbox is stopped for a snapshot, or to be moved: it goes on from the same instant by itself. */
  async #settled(sandboxId: string): Promise<Route | undefined> {
    const route = await this.#current(sandboxId);
    if (!route || isSettled(route)) return route;
    return this.#held.together(sandboxId, () => this.#settle(route));
  }

  async #current(sandboxId: string): Promise<Route | undefined> {
    const known = this.#options.routes.find(sandboxId);
    return isReachable(known) || !this.#lookUp ? known : this.#lookUp(sandboxId);
  }

  async #settle({ sandboxId, moving, revision }: Route): Promise<Route | undefined> {
    const deadline = new AbortController();
    const holdMs = moving ? HOLD_MS.move : HOLD_MS.snapshot;
    const timer = setTimeout(() => deadline.abort(sandboxTransitioning(sandboxId)), holdMs);
    try {
      const { routes } = this.#options;
      // What was looked up may be ahead of what the routes tell here.
      let isKnown = routes.find(sandboxId) !== undefined;
      const isOver = (route: Route | undefined) => {
        if (!route) return isKnown;
        isKnown = true;
        return route.revision >= revision && isSettled(route);
      };
      return await routes.until(sandboxId, isOver, deadline.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  #destination(
    route: Route,
    target: Target,
    request: ProxyRequest,
    nodeFields: readonly string[],
  ): Destination {
    const { admission } = this.#options;
    const { executionId, teamId: tenant, nodeId, proxyAddress } = route;
    if (proxyAddress === undefined) return admit(route, target, request, admission);
    return {
      upstream: {
        sandboxId: target.sandboxId,
        executionId,
        tenant,
        nodeId,
        ...parseAddress(proxyAddress),
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
