import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { SandboxLifeEvent } from '@islet/contracts';
import type { DeliveryStore } from '@islet/sinks';
import type { IdentityTokens, Secrets, Vault } from '@islet/vault';
import type { Destinations, Dispatcher, Sealing } from '@islet/webhooks';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { AuditTrail } from './audit/trail.ts';
import type { Authenticator } from './auth/authenticator.ts';
import type { ApiDeps, Clock } from './deps.ts';
import type { PausedRows } from './nodes/paused-rows.ts';
import type { NodeRegistry } from './nodes/registry.ts';
import type { NodeStandings } from './nodes/standings.ts';
import type { CurrentSandboxes } from './sandboxes/current-sandboxes.ts';
import type { KnownSandboxes } from './sandboxes/known-sandboxes.ts';
import type { PausedQuota } from './sandboxes/paused-quota.ts';
import type { Metering } from './teams/metering.ts';
import type { TeamUsage } from './teams/usage.ts';
import type { Builds } from './templates/builds/builds.ts';
import type { TemplateResolver } from './templates/resolver.ts';
import type { SpawnCounter } from './templates/spawn-counter.ts';
import type { VolumeTokens } from './volumes/token.ts';

/** The Fastify instance that routes are added to: their schemas type their handlers. */
export type ApiApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression<RawServerDefault>,
  RawReplyDefaultExpression<RawServerDefault>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What routes work with. */
export interface ApiContext extends Omit<ApiDeps, 'clock' | 'sandboxes' | 'deliveries' | 'audit'> {
  clock: Clock;
  /** What the nodes have told, a moment ago. */
  sandboxes: KnownSandboxes;
  /** What is so now: for all that a client asks. */
  current: CurrentSandboxes;
  authenticator: Authenticator;
  templates: TemplateResolver;
  builds: Builds;
  spawns: SpawnCounter;
  usage: TeamUsage;
  paused: PausedQuota;
  nodes: NodeRegistry;
  standings: NodeStandings;
  rows: PausedRows;
  volumeTokens: VolumeTokens;
  audit: AuditTrail;
  deliveries: DeliveryStore;
  dispatcher: Dispatcher;
  destinations: Destinations;
  sealing: Sealing;
  metering: Metering;
  vault: Vault;
  secrets: Secrets;
  identity: IdentityTokens;
  /** Takes what happened to sandboxes: see `Api`. */
  hear(events: readonly SandboxLifeEvent[]): Promise<void>;
}
