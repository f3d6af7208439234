import { join } from 'node:path';
import {
  type MasterKey,
  type MasterKeys,
  newMasterKey,
  parseMasterKeys,
  writeMasterKeys,
} from '@islet/vault';
import { closeSecret, damagedSecret, keepSecret, openSecrets, readSecret } from './secrets.ts';

/** What its file is called in a directory of secrets. */
export const MASTER_KEY_FILE = 'master-key';

/** The keys that an installation's secrets are encrypted under, in a file. */
export class MasterKeyFile implements MasterKeys {
  #known: readonly MasterKey[];

  private constructor(
    readonly path: string,
    /** Islet made the file, and may write to it. */
    readonly isOwn: boolean,
    known: readonly MasterKey[],
  ) {
    this.#known = known;
  }

  /**
   * That of a data directory, which is made if it is missing.
   * @throws Error if it is damaged
   */
  static async own(dataDir: string): Promise<MasterKeyFile> {
    const path = join(await openSecrets(dataDir), MASTER_KEY_FILE);
    if ((await readSecret(path)) === undefined) await keepSecret(path, writeMasterKeys([newMasterKey()]));
    const keys = await read(path);
    await closeSecret(path);
    return new MasterKeyFile(path, true, keys);
  }

  /** One that was named, and is only read. @throws Error if it is missing or damaged */
  static async named(path: string): Promise<MasterKeyFile> {
    return new MasterKeyFile(path, false, await read(path));
  }

  async find(id: string): Promise<MasterKey | undefined> {
    const known = this.#known.find((key) => key.id === id);
    if (known) return known;
    return (await this.all()).find((key) => key.id === id);
  }

  async all(): Promise<readonly MasterKey[]> {
    this.#known = await read(this.path);
    return this.#known;
  }

  /** Replaces the keys of a file of its own. */
  async write(keys: readonly MasterKey[]): Promise<void> {
    await keepSecret(this.path, writeMasterKeys(keys));
    this.#known = keys;
  }
}

async function read(path: string): Promise<MasterKey[]> {
  const text = await readSecret(path);
  if (text === undefined) {
    throw new Error(
      `${path} is not there: copy it from secrets/ in the data directory of the first API, or restore it`,
    );
  }
  const keys = parseMasterKeys(text);
  if (!keys) throw damagedSecret(path);
  return keys;
}
