import { create } from '@bufbuild/protobuf';
import { edgeProto } from '@islet/contracts';
import type { Route, RouteState } from './route.ts';

const { RouteState: WireState } = edgeProto;

const TO_WIRE: Record<RouteState, edgeProto.RouteState> = {
  running: WireState.RUNNING,
  snapshotting: WireState.SNAPSHOTTING,
  pausing: WireState.PAUSING,
  paused: WireState.PAUSED,
  killing: WireState.KILLING,
};

const FROM_WIRE = new Map(
  Object.entries(TO_WIRE).map(([state, wire]) => [wire, state as RouteState] as const),
);

/** A route as it is sent to another process. */
export function routeToWire(route: Route): edgeProto.Route {
  const { state, proxyAddress, ingress, envdTokenDigest, ...same } = route;
  const { publicTraffic, trafficTokenDigest, maskRequestHost } = ingress;
  return create(edgeProto.RouteSchema, {
    ...same,
    state: TO_WIRE[state],
    ...(proxyAddress !== undefined && { proxyAddress }),
    ...(envdTokenDigest !== undefined && { envdTokenDigest }),
    ingress: {
      publicTraffic,
      ...(trafficTokenDigest !== undefined && { trafficTokenDigest }),
      ...(maskRequestHost !== undefined && { maskRequestHost }),
    },
  });
}

/**
 * The reverse of `routeToWire`. Nobody is sent to a sandbox whose state is not known here, nor let in without ingress rules.
 */
export function routeFromWire(wire: edgeProto.Route): Route {
  const { sandboxId, executionId, revision, teamId, nodeId, address, wakes, moving, expiresAtMs, ingress } =
    wire;
  return {
    ...{ sandboxId, executionId, revision, teamId, nodeId, address, wakes, moving, expiresAtMs },
    state: FROM_WIRE.get(wire.state) ?? 'killing',
    proxyAddress: wire.proxyAddress,
    ingress: {
      publicTraffic: ingress?.publicTraffic ?? false,
      trafficTokenDigest: ingress?.trafficTokenDigest,
      maskRequestHost: ingress?.maskRequestHost,
    },
    envdTokenDigest: wire.envdTokenDigest,
  };
}
