import { orchestratorProto, tokenDigest } from '@islet/contracts';
import type { Route, RouteState } from './route.ts';

const { SandboxState } = orchestratorProto;

const STATES = new Map<orchestratorProto.SandboxState, RouteState>([
  [SandboxState.RUNNING, 'running'],
  [SandboxState.SNAPSHOTTING, 'snapshotting'],
  [SandboxState.PAUSING, 'pausing'],
  [SandboxState.PAUSED, 'paused'],
]);

/** What a sandbox does not say of its route. */
export interface RoutePlace {
  nodeId: string;
  /** See `Route`. */
  proxyAddress: string | undefined;
  /** Unix milliseconds. */
  expiresAtMs: number;
}

/** The route to a sandbox as its node tells of it. @throws TypeError if it comes without its config */
export function routeOf(sandbox: orchestratorProto.Sandbox, place: RoutePlace): Route {
  const { config } = sandbox;
  if (!config) throw new TypeError('a sandbox needs its config to be routed to');
  const { ingress, trafficAccessToken, envdAccessToken } = config;
  return {
    sandboxId: config.sandboxId,
    executionId: sandbox.executionId,
    revision: sandbox.revision,
    // Nobody is sent to one in a state that only its node knows.
    state: STATES.get(sandbox.state) ?? 'killing',
    teamId: config.teamId,
    nodeId: place.nodeId,
    address: sandbox.address,
    proxyAddress: place.proxyAddress,
    ingress: {
      publicTraffic: ingress ? ingress.allowPublicTraffic : trafficAccessToken === undefined,
      trafficTokenDigest: trafficAccessToken === undefined ? undefined : tokenDigest(trafficAccessToken),
      maskRequestHost: ingress?.maskRequestHost,
    },
    envdTokenDigest: envdAccessToken === undefined ? undefined : tokenDigest(envdAccessToken),
    wakes: config.autoResume && !sandbox.filesOnly,
    moving: sandbox.moving,
    expiresAtMs: place.expiresAtMs,
  };
}
