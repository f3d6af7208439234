import { type Database, LOCAL_TEAM_LIMITS, migrate, openDatabase, seed, type WellKnown } from '@islet/db';
import type { MasterKeys } from '@islet/vault';
import { databaseDir } from '../control/open.ts';
import type { Instance } from '../host/instance.ts';
import { makeLocalCredentials } from '../host/local-credentials.ts';
import type { Secrets } from '../host/secrets.ts';
import type { Layout } from '../layout.ts';
import type { UpConfig } from '../up/config.ts';
import { settleWellKnown } from '../up/credentials.ts';
import { assertMasterKey, assertSharedSeed } from './shared-secrets.ts';

/** A database that a start can work with. */
export interface PreparedDatabase {
  db: Database;
  /** The local-dev team was made now. */
  isNew: boolean;
  /** Credentials that everybody knows and that are good here. */
  wellKnown: WellKnown;
}

/**
 * The database, with the schema, the local-dev team and no other well-known credentials than were asked for.
 * @throws StartRefused if others than this machine could use those, or other APIs of the database have another token seed or
 *   master key.
 */
export async function openPreparedDatabase(
  config: Pick<UpConfig, 'databaseUrl' | 'dataDir' | 'host' | 'localDevKey'>,
  instance: Instance,
  layout: Layout,
  secrets: Pick<Secrets, 'tokenSeed'>,
  masterKeys: MasterKeys,
): Promise<PreparedDatabase> {
  const db = await openDatabase({
    url: config.databaseUrl,
    dataDir: databaseDir(instance),
    migrationsDir: layout.migrationsDir,
  });
  try {
    await migrate(db);
    await assertSharedSeed(db, secrets);
    await assertMasterKey(db, masterKeys);
    const { isNew } = await seed(db, {
      limits: LOCAL_TEAM_LIMITS,
      credentials: () => makeLocalCredentials(instance.dataDir),
    });
    return { db, isNew, wellKnown: await settleWellKnown(db, config, isNew) };
  } catch (error) {
    await db.close();
    throw error;
  }
}
