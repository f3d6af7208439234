import {
  type Database,
  holdMasterKey,
  listSealedOtherwise,
  type Queries,
  reseal,
  type SealedRow,
  settleMasterKey,
  useMasterKey,
} from '@islet/db';
import type { MasterKey, MasterKeys } from './master-keys.ts';
import { open, seal } from './sealing.ts';

/** A key of the database's that no file of this process has. */
export class MasterKeyMissingError extends Error {
  override readonly name = 'MasterKeyMissingError';

  constructor(readonly keyId: string) {
    super(
      `the master key ${keyId}, under which this database's secrets are encrypted, is not in the file of master keys: ` +
        'copy that file from the machine where it is, or restore it',
    );
  }
}

/** Something encrypted, and under which key. */
export interface Sealed {
  sealed: string;
  keyId: string;
}

const ROWS_AT_ONCE = 200;

/** Encrypts for a database, under the master key that this says is in use. */
export class Vault {
  constructor(
    readonly db: Database,
    private readonly keys: MasterKeys,
  ) {}

  /**
   * Settles which key is in use: the newest one, if none is yet.
   * @returns its id
   * @throws MasterKeyMissingError if it is not to be had
   */
  async settle(): Promise<string> {
    const newest = (await this.keys.all()).at(-1);
    if (!newest) throw new Error('there is no master key');
    const { id } = await this.#find(await settleMasterKey(this.db, newest.id));
    return id;
  }

  /** Seals a text to be written in this transaction, during which the key stays in use. @throws MasterKeyMissingError */
  async sealIn(tx: Queries, text: string, owner: string): Promise<Sealed> {
    const keyId = await holdMasterKey(tx);
    return { sealed: seal(await this.#find(keyId), text, owner), keyId };
  }

  /** @throws MasterKeyMissingError, SealError */
  async open({ sealed, keyId }: Sealed, owner: string): Promise<string> {
    return open(await this.#find(keyId), sealed, owner);
  }

  /**
   * Seals all under another key, from now on and what is there. May be run again if it was cut off.
   * @returns how many were sealed anew
   */
  async rotate(keyId: string): Promise<number> {
    const next = await this.#find(keyId);
    await useMasterKey(this.db, keyId);
    let count = 0;
    for (;;) {
      const rows = await listSealedOtherwise(this.db, keyId, ROWS_AT_ONCE);
      if (rows.length === 0) return count;
      for (const row of rows) await this.#reseal(row, next);
      count += rows.length;
    }
  }

  async #reseal(row: SealedRow, next: MasterKey): Promise<void> {
    const owner = row.table === 'secrets' ? secretOwner(row) : signingKeyOwner(row.id);
    const text = await this.open(row, owner).catch((cause: unknown) => {
      throw new Error(`${row.table} ${row.id} cannot be read: delete it, and rotate again`, { cause });
    });
    await reseal(this.db, row, { sealed: seal(next, text, owner), keyId: next.id });
  }

  async #find(keyId: string): Promise<MasterKey> {
    const key = await this.keys.find(keyId);
    if (!key) throw new MasterKeyMissingError(keyId);
    return key;
  }
}

/** What a secret's value is bound to. */
export function secretOwner({
  teamId,
  id,
  version,
}: {
  teamId: string;
  id: string;
  version: number;
}): string {
  return `secret\n${teamId}\n${id}\n${version}`;
}

/** What a private key is bound to. */
export function signingKeyOwner(id: string): string {
  return `signing key\n${id}`;
}
