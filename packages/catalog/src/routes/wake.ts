import { matchesDigest, PORTS } from '@islet/contracts';
import type { Route } from './route.ts';

/** What a request brings along that may entitle it to wake a paused sandbox. */
export interface WakeCredentials {
  /** The port in the sandbox that it is for: envd's takes the access token, every other the traffic token. */
  port: number;
  envdAccessToken: string | undefined;
  trafficAccessToken: string | undefined;
}

/** How an attempt to wake a sandbox ended. */
export type WakeOutcome =
  | { kind: 'resumed'; route: Route }
  /** There is no such paused sandbox, or it does not resume by itself. */
  | { kind: 'not-found' }
  /** The credentials do not suffice; the sandbox stays paused. */
  | { kind: 'refused' }
  /** It still was changing its state when the wait was over. */
  | { kind: 'transitioning' }
  /** The team has as many sandboxes as it may have; `message` is the control plane's. */
  | { kind: 'limit-reached'; message: string };

/** Wakes a sandbox that traffic arrives for. Concurrent requests for one sandbox share one resume. */
export type Wake = (sandboxId: string, credentials: WakeCredentials) => Promise<WakeOutcome>;

/** Why traffic does not wake this sandbox; undefined if it may. */
export function refusalToWake(route: Route, credentials: WakeCredentials): WakeOutcome | undefined {
  // It goes on by itself.
  if (route.moving) return { kind: 'transitioning' };
  const sleeps = route.state === 'paused' || route.state === 'pausing';
  if (!route.wakes || !sleeps) return { kind: 'not-found' };
  const isEnvd = credentials.port === PORTS.envd;
  const needed = isEnvd ? route.envdTokenDigest : route.ingress.trafficTokenDigest;
  if (needed === undefined) return undefined;
  const given = isEnvd ? credentials.envdAccessToken : credentials.trafficAccessToken;
  return given !== undefined && matchesDigest(given, needed) ? undefined : { kind: 'refused' };
}
