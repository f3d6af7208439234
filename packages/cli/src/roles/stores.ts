import { join } from 'node:path';
import { Collector } from '@islet/api';
import type { Undo } from '@islet/contracts';
import {
  createMemoryAudit,
  createMemoryDeliveries,
  createMemoryEvents,
  createMemoryLogs,
  createMemorySamples,
  openJournaledLogs,
} from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import type { Instance } from '../host/instance.ts';
import type { ClickHouseSettings } from '../up/config.ts';
import { openClickHouseStores } from './clickhouse.ts';

/** An hour of samples for each of the newest sandboxes, some 50 MB at the most. */
const SAMPLES_KEPT = { samplesPerSandbox: 720, sandboxes: 500 };

/** Some 20 MB at the most if sandboxes have little metadata. */
const EVENTS_KEPT = { eventsPerSandbox: 1_000, events: 20_000 };

/** Some 20 MB at the most, and twice that if receivers answer much. */
const DELIVERIES_KEPT = { attemptsPerWebhook: 1_000, attempts: 10_000 };
const AUDIT_KEPT = { most: 20_000 };

/** Some 100 MB at the most. */
const LOGS_KEPT = {
  recordsPerSandbox: 1_000,
  charactersPerSandbox: 1_000_000,
  totalCharacters: 50_000_000,
};

/** It is read at each start, in a fraction of a second. */
const LOG_FILE_BYTES = 16_000_000;

/** Where the API keeps what nodes note of sandboxes, and what brings it there. */
export async function openStores(
  clickhouse: ClickHouseSettings | undefined,
  instance: Instance,
  logger: Logger,
  undo: Undo,
) {
  const { samples, logs, events, deliveries, audit } = clickhouse
    ? await openInClickHouse(clickhouse, instance, logger, undo)
    : await openOnThisMachine(instance, logger, undo);
  const collector = new Collector({ stores: { samples, logs, events }, logger });
  // Behind a node of this process, which notes how its sandboxes end.
  undo.add('the collector', () => collector[Symbol.asyncDispose]());
  return { samples, logs, events, lossEvents: events, deliveries, audit, collector };
}

async function openInClickHouse(
  settings: ClickHouseSettings,
  instance: Instance,
  logger: Logger,
  undo: Undo,
) {
  const stores = await openClickHouseStores(settings, instance, logger);
  undo.add('the stores in ClickHouse', () => stores[Symbol.asyncDispose]());
  return stores;
}

async function openOnThisMachine({ dataDir }: Instance, logger: Logger, undo: Undo) {
  const logs = await openJournaledLogs({
    dir: join(dataDir, 'logs'),
    memory: createMemoryLogs(LOGS_KEPT),
    bytesPerFile: LOG_FILE_BYTES,
    logger,
  });
  undo.add('the sandbox logs', () => logs.close());
  const samples = createMemorySamples(SAMPLES_KEPT);
  const events = createMemoryEvents(EVENTS_KEPT);
  const deliveries = createMemoryDeliveries(DELIVERIES_KEPT);
  const audit = createMemoryAudit(AUDIT_KEPT);
  return { samples, logs, events, deliveries, audit };
}
