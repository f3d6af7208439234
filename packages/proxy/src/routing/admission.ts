import type { Route } from '@islet/catalog';
import { matchesDigest, PORTS } from '@islet/contracts';
import { reservedEndpoint, trafficTokenInvalid, trafficTokenMissing } from '../errors/proxy-error.ts';
import type { Destination } from '../forwarding/destination.ts';
import type { ProxyRequest } from '../forwarding/proxy-request.ts';
import { reservedPath } from './control-plane.ts';
import type { Target } from './target.ts';

export const TRAFFIC_TOKEN_HEADER = 'e2b-traffic-access-token';

/** Covers the moment between a server's start in the sandbox and its port being reachable. */
const SANDBOX_ATTEMPTS = 5;

// biome-ignore lint/suspicious/noTemplateCurlyInString: the mask's own placeholder, not JavaScript's
const PORT_PLACEHOLDER = '${PORT}';

/** What the last hop has to know about its sandboxes. */
export interface AdmissionSettings {
  /** envd's port: it has its own tokens and takes no other ingress rule. */
  envdPort: number;
  /** Requests and tunnels at once, a run of a sandbox; undefined for what every run may have. */
  connectionLimit: number | undefined;
}

export const DEFAULT_ADMISSION: AdmissionSettings = { envdPort: PORTS.envd, connectionLimit: undefined };

/**
 * The first check, before the sandbox is looked up: control-plane endpoints of envd are not on the public path.
 * @throws ProxyError 404
 */
export function refuseReserved(target: Target, request: ProxyRequest, envdPort: number): void {
  if (target.port !== envdPort) return;
  const path = reservedPath(request.target);
  if (path !== undefined) throw reservedEndpoint(path);
}

function checkTrafficToken(route: Route, request: ProxyRequest): void {
  const { publicTraffic, trafficTokenDigest } = route.ingress;
  if (publicTraffic) return;
  const given = request.header(TRAFFIC_TOKEN_HEADER);
  if (given === undefined || given === '') throw trafficTokenMissing(route.sandboxId);
  if (trafficTokenDigest === undefined || !matchesDigest(given, trafficTokenDigest)) {
    throw trafficTokenInvalid(route.sandboxId);
  }
}

/** gRPC, which is spoken over HTTP/2 alone; gRPC-Web is not. */
const GRPC = /^application\/grpc(?:[+;\s]|$)/i;

/** Without TLS nobody says what a server speaks: what a request is tells what its server has to. */
function isGrpc(request: ProxyRequest): boolean {
  return request.upgrade === undefined && GRPC.test(request.header('content-type') ?? '');
}

/**
 * Admits a request to a sandbox on this machine and says how it is sent there.
 * @throws ProxyError 403 if it lacks the sandbox's traffic token.
 */
export function admit(
  route: Route,
  target: Target,
  request: ProxyRequest,
  settings: AdmissionSettings,
): Destination {
  const isEnvd = target.port === settings.envdPort;
  if (!isEnvd) checkTrafficToken(route, request);
  const speaksHttp2 = !isEnvd && isGrpc(request);
  const mask = isEnvd ? undefined : route.ingress.maskRequestHost;
  return {
    upstream: {
      sandboxId: route.sandboxId,
      executionId: route.executionId,
      tenant: route.teamId,
      host: route.address,
      port: target.port,
      speaksHttp2,
    },
    sandboxPort: target.port,
    hop: 'sandbox',
    attempts: SANDBOX_ATTEMPTS,
    // A connection of HTTP/2 tells of its end before it comes.
    reuse: isEnvd || speaksHttp2 ? 'any' : 'repeatable',
    changes: {
      maskedHost:
        mask === undefined || mask === ''
          ? undefined
          : mask.replaceAll(PORT_PLACEHOLDER, String(target.port)),
      extraFields: [],
    },
    connectionLimit: settings.connectionLimit,
  };
}
