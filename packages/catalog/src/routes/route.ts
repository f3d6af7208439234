/** `killing`: on its way out. */
export type RouteState = 'running' | 'snapshotting' | 'pausing' | 'paused' | 'killing';

/** Who may reach a sandbox's ports, and under which Host. Holds for every port but envd's. */
export interface IngressPolicy {
  /** False: requests must carry the traffic token. */
  publicTraffic: boolean;
  /** `tokenDigest` of the traffic token. Without it and without public traffic nobody passes. */
  trafficTokenDigest: string | undefined;
  /** What the sandbox sees as Host; `${PORT}` in it stands for the port. */
  maskRequestHost: string | undefined;
}

/**
 * The way to one sandbox: what a proxy needs to admit a request and to send it on. It is small, may be read by whoever
 * reads the store of routes, and keeps nothing that would let them into the sandbox.
 */
export interface Route {
  sandboxId: string;
  /** One run of the sandbox, from a start or resume to its end or pause; connections never outlive it. */
  executionId: string;
  /** Counts the sandbox's changes, over all of its runs. */
  revision: number;
  state: RouteState;
  /** Its team, which pays for what proxies do for it. */
  teamId: string;
  nodeId: string;
  /** The sandbox's IP address, which only its own machine reaches; empty if it is paused. */
  address: string;
  /** `host:port` of its node's proxy. Undefined: whoever reads this is on the same machine. */
  proxyAddress: string | undefined;
  ingress: IngressPolicy;
  /** `tokenDigest` of what envd asks for; undefined if it asks for nothing. */
  envdTokenDigest: string | undefined;
  /** Traffic may wake it when it is paused. */
  wakes: boolean;
  /** It is stopped only to be moved to another node, and goes on by itself: requests wait for that. */
  moving: boolean;
  /** Unix milliseconds. Who wrote the route keeps this ahead of the sandbox's end. */
  expiresAtMs: number;
}

/** Whether traffic may be sent to a sandbox as it is now: otherwise it has no address, or not for long. */
export function servesTraffic({ state }: Route): boolean {
  return state === 'running' || state === 'snapshotting';
}
