import type { ArchiveInspector, ArtifactStore, UploadSignatures } from '@islet/artifacts';
import type { Reservations, Routes } from '@islet/catalog';
import type { Database } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { WebAccess } from './http/cors.ts';
import type { LogsSource } from './logs/source.ts';
import type { MetricsSource } from './metrics/source.ts';
import type { NodeDiscovery } from './nodes/discovery.ts';
import type { KnownSandboxes } from './sandboxes/known-sandboxes.ts';

export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Milliseconds that never run backwards; only differences mean something. */
  monotonic(): number;
}

export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };

export interface Uploads {
  /** What upload addresses are signed with. */
  signatures: UploadSignatures;
  /** Looks at what was uploaded. */
  inspector: ArchiveInspector;
}

export interface ApiDeps {
  /** Migrated and seeded. */
  db: Database;
  /** Where it writes where sandboxes are, for the proxies of the installation. */
  routes: Routes;
  /** Filled by what the nodes tell; absent: one of its own. */
  sandboxes?: KnownSandboxes | undefined;
  /** Of all control planes of the installation. */
  reservations: Reservations;
  /** Where sandboxes run, templates are built and volumes are. */
  discovery: NodeDiscovery;
  /** Keeps the files of COPY steps for those that build. */
  artifacts: ArtifactStore;
  /** Where the store cannot take uploads itself, so that its addresses lead here. */
  uploads?: Uploads | undefined;
  /** Secret from which sandboxes' tokens are derived; it must survive restarts. */
  tokenSeed: string;
  /** Base domain of sandbox traffic, for the answers; null lets the SDK use its own. */
  domain: string | null;
  /** Names it answers to and pages that may call it; without it those of this machine. */
  web?: WebAccess | undefined;
  /** Secures sandboxes made by `POST /sandboxes` also if the request does not say so. */
  secureByDefault?: boolean | undefined;
  logger: Logger;
  clock?: Clock;
  /** Value of X-Admin-Token; without it no admin call is accepted. */
  adminToken?: string | undefined;
  /** Where samples come from; without it every sandbox has none. */
  metrics?: MetricsSource | undefined;
  /** Where sandbox logs come from; without it every sandbox has none. */
  logs?: LogsSource | undefined;
  /** Most that a new volume may hold, MiB; absent: the installation has no volumes. */
  volumeSizeMb?: number | undefined;
}
