import type { CatalogEntry } from '@islet/catalog';

/** What a request brings along that may entitle it to wake a paused sandbox. */
export interface ResumeCredentials {
  /** The port in the sandbox that it is for: envd's takes the access token, every other the traffic token. */
  port: number;
  envdAccessToken: string | undefined;
  trafficAccessToken: string | undefined;
}

/** How an attempt to wake a sandbox ended. */
export type ResumeOutcome =
  | { kind: 'resumed'; entry: CatalogEntry }
  /** There is no such paused sandbox, or it does not resume by itself. */
  | { kind: 'not-found' }
  /** The credentials do not suffice; the sandbox stays paused. */
  | { kind: 'refused' }
  /** It still was changing its state when the wait was over. */
  | { kind: 'transitioning' }
  /** The team has as many sandboxes as it may have; `message` is the control plane's. */
  | { kind: 'limit-reached'; message: string };

/** Wakes a paused sandbox for a request. Concurrent requests for one sandbox share one resume. */
export type Resume = (sandboxId: string, credentials: ResumeCredentials) => Promise<ResumeOutcome>;
