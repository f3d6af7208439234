import { cp, mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Undo } from '@islet/contracts';
import { type Database, migrate, openDatabase } from '@islet/db';
import { exists, LockHeldError } from '@islet/host';
import { databaseDir } from '../control/open.ts';
import { instanceAt } from '../host/instance.ts';
import { lockInstance } from '../host/instance-lock.ts';
import { damagedSecret, isSeed, readSecret } from '../host/secrets.ts';
import type { Layout } from '../layout.ts';
import { settleSeed } from '../roles/shared-secrets.ts';

/** An installation cannot be moved as it is; the message says what to do. */
export class MigrationRefused extends Error {
  override readonly name = 'MigrationRefused';
}

/** A stopped installation of one machine. */
export interface Source extends AsyncDisposable {
  /** Real path. */
  dataDir: string;
  /** For what is under way; of this process alone, and removed with it. */
  workDir: string;
  /**
   * A copy of its database, brought up to this version, with the digest of the seed that its sandboxes' tokens are of: an API with
   * another seed is refused by the database that gets these rows.
   */
  db: Database;
}

/**
 * Holds a data directory, so that no Islet starts on it, and copies its database: what opens a database writes to it.
 * @throws MigrationRefused if it is none of a stopped Islet with an embedded database
 */
export async function openSource(dataDir: string, { migrationsDir }: Layout): Promise<Source> {
  const undo = new Undo();
  try {
    const instance = instanceAt(await realpath(dataDir).catch(() => dataDir));
    const embedded = databaseDir(instance);
    if (!(await exists(embedded))) {
      throw new MigrationRefused(
        `${dataDir} has no embedded database: give the --data-dir of an Islet that was started by \`islet up\` without DATABASE_URL`,
      );
    }
    const lock = await lockInstance(instance).catch((cause: unknown) => {
      if (!(cause instanceof LockHeldError)) throw cause;
      throw new MigrationRefused(`an Islet runs on ${instance.dataDir} (${cause.note}): stop it first`, {
        cause,
      });
    });
    undo.add('the claim of the data directory', () => lock[Symbol.asyncDispose]());
    const workDir = join(instance.dataDir, 'migration');
    // Of one that was killed.
    await rm(workDir, { recursive: true, force: true });
    await mkdir(workDir, { mode: 0o700 });
    undo.add('the copy of the database', () => rm(workDir, { recursive: true, force: true }));
    const copy = join(workDir, 'db');
    await cp(embedded, copy, { recursive: true });
    const db = await openDatabase({ dataDir: copy, migrationsDir });
    undo.add('the database', () => db.close());
    await migrate(db);
    await settleSeed(db, await readSeed(instance.dataDir));
    return {
      dataDir: instance.dataDir,
      workDir,
      db,
      [Symbol.asyncDispose]: () => undo[Symbol.asyncDispose](),
    };
  } catch (error) {
    throw await undo.after(error);
  }
}

async function readSeed(dataDir: string): Promise<string> {
  const path = join(dataDir, 'secrets', 'token-seed');
  const seed = await readSecret(path);
  if (seed === undefined) {
    throw new MigrationRefused(`${path} is not there: restore it, the tokens of all sandboxes are of it`);
  }
  if (!isSeed(seed)) throw damagedSecret(path);
  return seed;
}
