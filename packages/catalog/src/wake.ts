import { orchestratorProto, PORTS, secretsEqual } from '@islet/contracts';
import type { CatalogEntry, Sandbox } from './catalog.ts';

const { SandboxState } = orchestratorProto;

/** What a request brings along that may entitle it to wake a paused sandbox. */
export interface WakeCredentials {
  /** The port in the sandbox that it is for: envd's takes the access token, every other the traffic token. */
  port: number;
  envdAccessToken: string | undefined;
  trafficAccessToken: string | undefined;
}

/** How an attempt to wake a sandbox ended. */
export type WakeOutcome =
  | { kind: 'resumed'; entry: CatalogEntry }
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

/**
 * True for a sandbox that a resume can start: paused, or about to be. Clients are not told of the difference: whatever they ask
 * for, one that is being saved is answered as a paused one.
 */
export function isPaused(sandbox: Sandbox): boolean {
  return sandbox.state === SandboxState.PAUSED || sandbox.state === SandboxState.PAUSING;
}

/** Why traffic does not wake this sandbox; undefined where it may. */
export function refusalToWake(sandbox: Sandbox, credentials: WakeCredentials): WakeOutcome | undefined {
  const { config } = sandbox;
  if (!config?.autoResume || !isPaused(sandbox) || sandbox.filesOnly) return { kind: 'not-found' };
  const isEnvd = credentials.port === PORTS.envd;
  const needed = isEnvd ? config.envdAccessToken : config.trafficAccessToken;
  if (needed === undefined) return undefined;
  const given = isEnvd ? credentials.envdAccessToken : credentials.trafficAccessToken;
  return given !== undefined && secretsEqual(given, needed) ? undefined : { kind: 'refused' };
}
