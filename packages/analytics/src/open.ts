import type { AuditStore, BuildLogStore, DeliveryStore, Stores, TeamStore, VerdictStore } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import { Type } from 'typebox';
import { createAudit } from './audit/audit.ts';
import { createBuildLogs } from './build-logs/build-logs.ts';
import { createDeliveries } from './deliveries/deliveries.ts';
import { createEvents } from './events/events.ts';
import { createLogs } from './logs/logs.ts';
import { createSamples } from './samples/samples.ts';
import { migrate } from './schema/migrate.ts';
import type { ServerAddress } from './server/address.ts';
import { Connection } from './server/connection.ts';
import { isRefusal } from './server/errors.ts';
import { Tables } from './tables.ts';
import { createTeams } from './teams/teams.ts';
import { createVerdicts } from './verdicts/verdicts.ts';
import { Writer } from './writing/writer.ts';

export interface ClickHouseOptions {
  server: ServerAddress;
  /** Where rows wait on disk while the server is away, and how much of them at most. */
  spool: { dir: string; maxBytes: number };
  /** Unix ms. */
  clock: () => number;
  logger: Logger;
}

/** What is kept in ClickHouse. */
export interface ClickHouseStores extends Stores, AsyncDisposable {
  teams: TeamStore;
  verdicts: VerdictStore;
  buildLogs: BuildLogStore;
  deliveries: DeliveryStore;
  audit: AuditStore;
  /** Whether the server took what came last. */
  readonly isThere: boolean;
  /** Rows that were given up, since the start. */
  readonly dropped: number;
  /** What waits on disk, bytes. */
  readonly waiting: number;
}

/**
 * Stores in a ClickHouse server, whose schema is brought up to date. A server that is not there yet is waited for
 * in the background.
 * @throws ServerException if the server refuses our credentials or what they may do
 */
export async function openClickHouse(options: ClickHouseOptions): Promise<ClickHouseStores> {
  const { server, spool, clock, logger } = options;
  const connection = new Connection(server);
  // What teams ask takes no connection away from what is to be kept.
  const questions = new Connection(server);
  let isMigrated = false;
  const prepare = async () => {
    if (isMigrated) await connection.read('SELECT 1 AS one', {}, Type.Object({ one: Type.Literal(1) }));
    else await migrate(connection);
    isMigrated = true;
  };
  const close = async () => {
    await connection[Symbol.asyncDispose]();
    await questions[Symbol.asyncDispose]();
  };
  try {
    await prepare();
  } catch (error) {
    if (isRefusal(error)) {
      await close();
      throw error;
    }
    logger.warn({ err: error }, 'ClickHouse is not there: what is to be kept waits on disk');
  }
  const writer = await Writer.open({ connection, prepare, isThere: isMigrated, spool, logger });
  const tables = new Tables(questions, writer);
  return {
    samples: createSamples(tables, clock),
    logs: createLogs(tables, clock),
    events: createEvents(tables),
    teams: createTeams(tables),
    verdicts: createVerdicts(tables),
    buildLogs: createBuildLogs(tables),
    deliveries: createDeliveries(tables),
    audit: createAudit(tables),
    get isThere() {
      return writer.isThere;
    },
    get dropped() {
      return writer.dropped;
    },
    get waiting() {
      return writer.waiting;
    },
    async [Symbol.asyncDispose]() {
      await writer[Symbol.asyncDispose]();
      await close();
    },
  };
}

/**
 * Brings the schema of a server up to date. Gives the names of what was applied.
 * @throws ServerException or ServerUnreachable
 */
export async function migrateClickHouse(server: ServerAddress): Promise<string[]> {
  await using connection = new Connection(server);
  return await migrate(connection);
}
