export { type AudienceHints, wantsPage } from './errors/audience.ts';
export {
  ProxyError,
  type ProxyErrorDetail,
  portClosed,
  reservedEndpoint,
  routingFailed,
  sandboxGone,
  sandboxTransitioning,
  tooManyConnections,
  trafficTokenInvalid,
  trafficTokenMissing,
  wakeBeyondLimit,
  wakeRefused,
} from './errors/proxy-error.ts';
export { type RenderedError, renderError } from './errors/render.ts';
export { PacedInput } from './fairness/paced-input.ts';
export { type Share, TURN_MS, Turns, type TurnsOptions } from './fairness/turns.ts';
export type { Destination } from './forwarding/destination.ts';
export type { BodyFraming, ProxyRequest } from './forwarding/proxy-request.ts';
export {
  type AdmissionSettings,
  admit,
  DEFAULT_ADMISSION,
  refuseReserved,
  TRAFFIC_TOKEN_HEADER,
} from './routing/admission.ts';
export { reservedPath } from './routing/control-plane.ts';
export { endWithRuns } from './routing/run-ends.ts';
export { type RunFate, runFate } from './routing/run-fate.ts';
export {
  parseTarget,
  SANDBOX_ID_HEADER,
  SANDBOX_PORT_HEADER,
  type Target,
  type TargetHints,
} from './routing/target.ts';
export { ProxyFigures } from './server/figures.ts';
export { Front, type FrontOptions } from './server/front.ts';
export { type ClientLimits, createHttp1Server, HEAD_TIMEOUT_MS, http1Options } from './server/http-server.ts';
export { DEFAULT_PLACES, type PlaceLimits } from './server/run-places.ts';
export { RunUses } from './server/run-uses.ts';
export {
  createSandboxProxy,
  createUpstreamPool,
  type SandboxProxy,
  type SandboxProxyOptions,
  targetOf,
} from './server/sandbox-proxy.ts';
export { type Upstream, UpstreamPool, type UpstreamPoolOptions } from './upstream/pool.ts';
export { RunClosedError, type RunId } from './upstream/run.ts';
