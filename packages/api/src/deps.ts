import type { ArchiveInspector, ArtifactStore, UploadSignatures } from '@islet/artifacts';
import type { Hearings, Notices, Pending, Reservations, Routes, StoreContents } from '@islet/catalog';
import type { Database } from '@islet/db';
import type {
  AuditStore,
  BuildLogSource,
  DeliveryStore,
  EventSource,
  EventStore,
  LogSource,
  SampleSource,
  TeamStore,
  VerdictSource,
} from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import type { MasterKeys } from '@islet/vault';
import type { RetrySchedule } from '@islet/webhooks';
import type { RateLimit } from './auth/rate-limit.ts';
import type { WebAccess } from './http/cors.ts';
import type { Collector } from './nodes/collector.ts';
import type { NodeDiscovery } from './nodes/discovery.ts';
import type { SalvageTimes } from './nodes/salvage.ts';
import type { SweepTimes } from './nodes/store-sweep.ts';
import type { KnownSandboxes } from './sandboxes/known-sandboxes.ts';
import type { MoveKeeperTimes } from './sandboxes/move-keeper.ts';

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

/** Templates that an installation builds when they are first used. */
export interface FurtherBuilds {
  /** Begins to build the template of that name, or says how far it is; undefined if there is none. */
  use(name: string): Promise<{ progress: string; failure?: string } | undefined>;
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
  /** What all control planes of the installation tell each other; absent: this is the only one. */
  notices?: Notices | undefined;
  /** What all control planes of the installation hear of its nodes; absent: this is the only one. */
  hearings?: Hearings | undefined;
  /** What is about to count against quotas at all control planes; absent: this is the only one. */
  pending?: Pending | undefined;
  /** How many requests a team may send; absent: any number. */
  rateLimit?: RateLimit | undefined;
  /** Of the store of both. Absent: it loses nothing while the API runs. */
  contents?: StoreContents | undefined;
  /** Where sandboxes run, templates are built and volumes are. */
  discovery: NodeDiscovery;
  /** Keeps the files of COPY steps for those that build. */
  artifacts: ArtifactStore;
  /** Where the store cannot take uploads itself, so that its addresses lead here. */
  uploads?: Uploads | undefined;
  /** Secret from which sandboxes' tokens are derived; it must survive restarts. */
  tokenSeed: string;
  /** What secrets are encrypted under: the same at all control planes. */
  masterKeys: MasterKeys;
  /** The address that identity tokens name as theirs, without a slash at its end. Asked when it serves. */
  issuer: () => string;
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
  /** What sandboxes used; without it every sandbox has no samples. */
  samples?: SampleSource | undefined;
  /** What was said of sandboxes; without it every sandbox has no logs. */
  logs?: LogSource | undefined;
  /** What happened to sandboxes; without it nothing did. */
  events?: EventSource | undefined;
  /** What became of their connections; without it nobody knows. */
  verdicts?: VerdictSource | undefined;
  /** Keeps what is told of sandboxes that were lost with their node; absent: nobody is told. */
  lossEvents?: Pick<EventStore, 'write'> | undefined;
  /** What webhooks were sent; absent: the newest, in memory. */
  deliveries?: DeliveryStore | undefined;
  /** Who changed what; absent: the newest, in memory. */
  audit?: AuditStore | undefined;
  /** Addresses and networks that webhooks may reach in addition to public ones. */
  webhookAllow?: readonly string[] | undefined;
  /** When webhooks are tried again; absent: as the protocol has it. */
  webhookRetries?: RetrySchedule | undefined;
  /** Of Islet, for those it sends something. */
  version?: string | undefined;
  /** What was said of builds; without it only nodes know. */
  buildLogs?: BuildLogSource | undefined;
  /** What teams had; without it they had nothing. */
  teams?: TeamStore | undefined;
  /** Brings there what nodes note. Absent: they do so themselves. */
  collector?: Pick<Collector, 'caughtUp'> | undefined;
  /** After so long a silence of a node what ran on it counts as lost, ms; absent: the usual time. */
  nodeLossMs?: number | undefined;
  /** When moves are finished that were left unfinished; absent: the usual times. */
  moves?: Partial<MoveKeeperTimes> | undefined;
  /** When it is looked for what nodes that are away have saved; absent: the usual times. */
  salvage?: Partial<SalvageTimes> | undefined;
  /** When the store is looked through for what is over; absent: see `SWEEP_TIMES`. */
  storeSweep?: Partial<SweepTimes> | undefined;
  /** Absent: a template that is not there is not found. */
  further?: FurtherBuilds | undefined;
  /** Most that a new volume may hold, MiB; absent: the installation has no volumes. */
  volumeSizeMb?: number | undefined;
}
