import { join } from 'node:path';
import { createMemoryLogs, createMemoryMetrics, openJournaledLogs } from '@islet/api';
import type { Logger } from '@islet/telemetry';
import type { Instance } from '../host/instance.ts';
import type { Undo } from '../up/undo.ts';

/** An hour of samples for each of the newest sandboxes, some 50 MB at the most. */
const METRICS_KEPT = { samplesPerSandbox: 720, sandboxes: 500 };

/** Some 100 MB at the most. */
const LOGS_KEPT = {
  recordsPerSandbox: 1_000,
  charactersPerSandbox: 1_000_000,
  totalCharacters: 50_000_000,
};

/** It is read at each start, in a fraction of a second. */
const LOG_FILE_BYTES = 16_000_000;

/** Where the API keeps what is told of sandboxes. */
export async function openStores({ dataDir }: Instance, logger: Logger, undo: Undo) {
  const metrics = createMemoryMetrics(METRICS_KEPT);
  const logs = await openJournaledLogs({
    dir: join(dataDir, 'logs'),
    memory: createMemoryLogs(LOGS_KEPT),
    bytesPerFile: LOG_FILE_BYTES,
    logger,
  });
  undo.add('the sandbox logs', () => logs.close());
  return { metrics, logs };
}
