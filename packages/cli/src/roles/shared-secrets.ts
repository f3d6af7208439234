import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { type Database, settleFact } from '@islet/db';
import { MasterKeyMissingError, type MasterKeys, Vault } from '@islet/vault';
import { MASTER_KEY_FILE, MasterKeyFile } from '../host/master-key-file.ts';
import { damagedSecret, isSeed, readSecret, type Secrets } from '../host/secrets.ts';
import { StartRefused } from '../up/claim.ts';

/** What all APIs of an installation must have alike. */
export type SharedSecrets = Pick<Secrets, 'tokenSeed' | 'adminToken'>;

/** Where the master keys are: in a file that was named, in a directory of secrets that was named, or in the data directory. */
export async function openMasterKeys(
  dataDir: string,
  { masterKeyFile, secretsDir }: { masterKeyFile: string | undefined; secretsDir?: string | undefined },
): Promise<MasterKeyFile> {
  if (masterKeyFile !== undefined) return MasterKeyFile.named(masterKeyFile);
  if (secretsDir !== undefined) return MasterKeyFile.named(join(secretsDir, MASTER_KEY_FILE));
  return MasterKeyFile.own(dataDir);
}

/**
 * The secrets that APIs share: those of a directory that was named, which is only read, else the data directory's own.
 * @throws Error with what to do if one is missing or damaged
 */
export async function readSharedSecrets(
  own: SharedSecrets,
  directory: string | undefined,
): Promise<SharedSecrets> {
  if (directory === undefined) return own;
  const read = async (name: string) => {
    const path = join(directory, name);
    const text = await readSecret(path);
    if (text === undefined) {
      throw new Error(`${path} is not there: copy it from secrets/ in the data directory of the first API`);
    }
    if (!isSeed(text)) throw damagedSecret(path);
    return text;
  };
  const [tokenSeed, adminToken] = await Promise.all([read('token-seed'), read('admin-token')]);
  return { tokenSeed, adminToken };
}

/**
 * Makes sure that an API gives the same tokens as the others of its database, which keeps a digest of the first one's
 * seed. A database of one process has no others.
 * @throws StartRefused
 */
export async function assertSharedSeed(
  db: Database,
  { tokenSeed }: Pick<Secrets, 'tokenSeed'>,
): Promise<void> {
  if (db.kind === 'pglite' || (await settleSeed(db, tokenSeed))) return;
  throw new StartRefused(
    `this API's token seed is not the one of the other APIs on ${db.location}: it would give sandboxes tokens that ` +
      'those refuse. Copy token-seed and admin-token from secrets/ in the data directory of the first API into ' +
      'secrets/ in the data directory of this one, or name a directory that holds both with --secrets-dir\n' +
      'To replace the seed on purpose, which ends the use of all tokens given so far: stop all APIs, and run on the ' +
      "database: DELETE FROM installation_facts WHERE name = 'token-seed-digest'",
  );
}

/** Writes down whose tokens a database's sandboxes have, unless that is settled. False if it is settled otherwise. */
export async function settleSeed(db: Database, tokenSeed: string): Promise<boolean> {
  const digest = createHmac('sha256', tokenSeed).update('digest of the token seed').digest('hex');
  return (await settleFact(db, 'token-seed-digest', digest)) === digest;
}

/** Makes sure that an API can read the secrets of its database. @throws StartRefused */
export async function assertMasterKey(db: Database, masterKeys: MasterKeys): Promise<void> {
  try {
    await new Vault(db, masterKeys).settle();
  } catch (error) {
    if (error instanceof MasterKeyMissingError) throw new StartRefused(error.message);
    throw error;
  }
}
