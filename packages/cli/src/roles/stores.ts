import { join } from 'node:path';
import { Collector } from '@islet/api';
import type { Undo } from '@islet/contracts';
import { type HistoryStores, HistoryThread } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import type { Instance } from '../host/instance.ts';
import type { Layout } from '../layout.ts';
import type { UpConfig } from '../up/config.ts';
import { openClickHouseStores } from './clickhouse.ts';

export interface StoresOptions {
  instance: Instance;
  layout: Pick<Layout, 'history'>;
  config: Pick<UpConfig, 'clickhouse' | 'historySizeMb' | 'logLevel'>;
  logger: Logger;
}

const MB = 1024 ** 2;

/** Where the API keeps what nodes note of sandboxes, and what brings it there. */
export async function openStores(options: StoresOptions, undo: Undo) {
  const { instance, config, logger } = options;
  const stores = config.clickhouse
    ? await openInClickHouse(config.clickhouse, instance, logger, undo)
    : openOnThisMachine(options, undo);
  const collector = new Collector({ stores, logger });
  // Behind a node of this process, which notes how its sandboxes end.
  undo.add('the collector', () => collector[Symbol.asyncDispose]());
  return { ...stores, lossEvents: stores.events, collector };
}

async function openInClickHouse(
  settings: NonNullable<UpConfig['clickhouse']>,
  instance: Instance,
  logger: Logger,
  undo: Undo,
): Promise<HistoryStores> {
  const stores = await openClickHouseStores(settings, instance, logger);
  undo.add('the stores in ClickHouse', () => stores[Symbol.asyncDispose]());
  return stores;
}

function openOnThisMachine({ instance, layout, config, logger }: StoresOptions, undo: Undo): HistoryStores {
  const history = new HistoryThread({
    dir: join(instance.dataDir, 'history'),
    bytes: config.historySizeMb * MB,
    program: layout.history,
    logLevel: config.logLevel,
    logger,
  });
  undo.add('the history', () => history[Symbol.asyncDispose]());
  return history.stores;
}
