import { join } from 'node:path';
import { type ClickHouseStores, openClickHouse } from '@islet/analytics';
import type { Logger } from '@islet/telemetry';
import type { Instance } from '../host/instance.ts';
import { StartRefused } from '../up/claim.ts';
import type { ClickHouseSettings } from '../up/config.ts';

/**
 * The stores in ClickHouse. If the server does not answer, what is to be kept waits below the data directory.
 * @throws StartRefused if it answers, and refuses
 */
export async function openClickHouseStores(
  { server, spoolBytes }: ClickHouseSettings,
  { dataDir }: Instance,
  logger: Logger,
): Promise<ClickHouseStores> {
  try {
    return await openClickHouse({
      server,
      spool: { dir: join(dataDir, 'spool', 'clickhouse'), maxBytes: spoolBytes },
      clock: Date.now,
      logger: logger.child({ component: 'clickhouse' }),
    });
  } catch (cause) {
    throw new StartRefused(
      `${server.url} refuses user ${server.username}: correct --clickhouse-url (ISLET_CLICKHOUSE_URL), or what the user may do`,
      { cause },
    );
  }
}
