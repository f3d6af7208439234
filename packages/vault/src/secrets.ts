import { newSecretId, secretConflict, secretNotFound } from '@islet/contracts';
import {
  countSecrets,
  createSecret,
  deleteSecret,
  findSecret,
  listSecrets,
  replaceSecret,
  type SecretRow,
  type SecretSelector,
  whileCounted,
} from '@islet/db';
import { secretOwner, type Vault } from './vault.ts';

/** What is told of a secret. */
export type Secret = Omit<SecretRow, 'sealedValue' | 'keyId'>;

export interface SecretsOptions {
  vault: Vault;
  /** Unix milliseconds. */
  now: () => number;
  /** Most that one team may have. */
  mostPerTeam: number;
}

/** The secrets of teams. */
export class Secrets {
  constructor(private readonly options: SecretsOptions) {}

  /** @throws IsletError 409 if the team has one of this name, or as many as it may */
  async create(
    teamId: string,
    { name, value, metadata }: { name: string; value: string; metadata: Record<string, string> },
  ): Promise<Secret> {
    const { vault, now, mostPerTeam } = this.options;
    const at = now();
    const id = newSecretId(at);
    const version = 1;
    const times = { createdAt: new Date(at), updatedAt: new Date(at) };
    return whileCounted(vault.db, teamId, async (counted) => {
      if ((await countSecrets(counted, teamId)) >= mostPerTeam) throw secretConflict();
      const { sealed, keyId } = await vault.sealIn(counted, value, secretOwner({ teamId, id, version }));
      const row = { id, teamId, name, version, metadata, sealedValue: sealed, keyId, ...times };
      const made = await createSecret(counted, row);
      if (!made) throw secretConflict();
      return told(made);
    });
  }

  /**
   * Appends a version, and with it forgets the one before.
   * @param metadata absent: as before
   * @throws IsletError 404, or 409 if it changes at the same time
   */
  async update(
    teamId: string,
    selector: SecretSelector,
    { value, metadata }: { value: string; metadata?: Record<string, string> | undefined },
  ): Promise<Secret> {
    const { vault, now } = this.options;
    return vault.db.orm.transaction(async (orm) => {
      const tx = { orm };
      const before = await findSecret(tx, teamId, selector);
      if (!before) throw secretNotFound();
      const { id } = before;
      const version = before.version + 1;
      const { sealed, keyId } = await vault.sealIn(tx, value, secretOwner({ teamId, id, version }));
      const after = await replaceSecret(tx, before, {
        ...{ version, sealedValue: sealed, keyId },
        metadata: metadata ?? before.metadata,
        updatedAt: new Date(Math.max(now(), before.updatedAt.getTime())),
      });
      if (!after) throw secretConflict();
      return told(after);
    });
  }

  /** @throws IsletError 404 */
  async find(teamId: string, selector: SecretSelector): Promise<Secret> {
    const row = await findSecret(this.options.vault.db, teamId, selector);
    if (!row) throw secretNotFound();
    return told(row);
  }

  /** Newest first. */
  async list(query: {
    teamId: string;
    after?: { createdAt: Date; id: string };
    limit: number;
  }): Promise<Secret[]> {
    return (await listSecrets(this.options.vault.db, query)).map(told);
  }

  /** @returns its id @throws IsletError 404 */
  async destroy(teamId: string, selector: SecretSelector): Promise<string> {
    const id = await deleteSecret(this.options.vault.db, teamId, selector);
    if (id === undefined) throw secretNotFound();
    return id;
  }

  /**
   * The value of a team's secret, for what leaves its sandboxes.
   * @param name in its one spelling
   * @returns undefined if there is none
   * @throws SealError, MasterKeyMissingError if it cannot be opened
   */
  async resolve(teamId: string, name: string): Promise<{ value: string; version: number } | undefined> {
    const { vault } = this.options;
    const row = await findSecret(vault.db, teamId, { name });
    if (!row) return undefined;
    const value = await vault.open({ sealed: row.sealedValue, keyId: row.keyId }, secretOwner(row));
    return { value, version: row.version };
  }
}

function told({ sealedValue: _, keyId: __, ...secret }: SecretRow): Secret {
  return secret;
}
