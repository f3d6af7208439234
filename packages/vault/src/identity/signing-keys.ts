import { addSigningKey, deleteSigningKeys, listSigningKeys, type SigningKeyRow } from '@islet/db';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importPKCS8,
} from 'jose';
import { signingKeyOwner, type Vault } from '../vault.ts';

/** What most verifiers take. */
export const ALGORITHM = 'RS256';

/** How long a token is good. */
export const TOKEN_LIFE_S = 300;

const HOUR_MS = 3_600_000;
/** How long one key signs. */
const PERIOD_MS = 30 * 24 * HOUR_MS;
/** A key is published for so long before it signs: verifiers keep what they have read. */
const PUBLISHED_BEFORE_MS = HOUR_MS;
/** And for so long after its last token has ended. */
const PUBLISHED_AFTER_MS = TOKEN_LIFE_S * 1_000 + HOUR_MS;
/** How long what the database says is taken for granted. */
const FRESH_MS = 30_000;

export interface SigningKeysOptions {
  vault: Vault;
  /** Unix milliseconds. */
  now: () => number;
}

/** A key that signs now. */
export interface Signer {
  id: string;
  key: CryptoKey;
}

/** The keys that identity tokens are signed with: of all control planes of an installation, each for some weeks. */
export class SigningKeys {
  readonly #options: SigningKeysOptions;
  readonly #opened = new Map<string, Promise<CryptoKey>>();
  #known: { rows: Promise<SigningKeyRow[]>; atMs: number } | undefined;

  constructor(options: SigningKeysOptions) {
    this.#options = options;
  }

  /** What signs now. */
  async signer(): Promise<Signer> {
    const row = signerOf(await this.#rows(), this.#options.now());
    if (!row) throw new Error('no key signs identity tokens');
    return { id: row.id, key: await this.#open(row) };
  }

  /** What verifiers may see now. */
  async published(): Promise<Record<string, string>[]> {
    return (await this.#rows()).map(({ id, publicKey }) => ({
      ...publicKey,
      ...{ kid: id, use: 'sig', alg: ALGORITHM },
    }));
  }

  #rows(): Promise<SigningKeyRow[]> {
    const now = this.#options.now();
    if (this.#known && now - this.#known.atMs < FRESH_MS && now >= this.#known.atMs) return this.#known.rows;
    const rows = this.#read();
    const known = { rows, atMs: now };
    this.#known = known;
    rows.catch(() => {
      if (this.#known === known) this.#known = undefined;
    });
    return rows;
  }

  async #read(): Promise<SigningKeyRow[]> {
    const { vault, now } = this.#options;
    const rows = await listSigningKeys(vault.db);
    const at = now();
    const missing = nextStart(rows, at);
    if (missing === undefined && outlived(rows, at).length === 0) return rows;
    await deleteSigningKeys(vault.db, outlived(rows, at));
    if (missing !== undefined) await this.#make(new Date(missing));
    return listSigningKeys(vault.db);
  }

  async #make(activeFrom: Date): Promise<void> {
    const { vault } = this.#options;
    const pair = await generateKeyPair(ALGORITHM, { extractable: true });
    const publicKey = (await exportJWK(pair.publicKey)) as Record<string, string>;
    const id = await calculateJwkThumbprint(publicKey);
    const text = await exportPKCS8(pair.privateKey);
    await vault.db.orm.transaction(async (orm) => {
      const { sealed, keyId } = await vault.sealIn({ orm }, text, signingKeyOwner(id));
      await addSigningKey({ orm }, { id, publicKey, sealedKey: sealed, keyId, activeFrom });
    });
  }

  #open({ id, sealedKey, keyId }: SigningKeyRow): Promise<CryptoKey> {
    const known = this.#opened.get(id);
    if (known) return known;
    const opening = this.#options.vault
      .open({ sealed: sealedKey, keyId }, signingKeyOwner(id))
      .then((text) => importPKCS8(text, ALGORITHM));
    this.#opened.clear();
    this.#opened.set(id, opening);
    opening.catch(() => this.#opened.delete(id));
    return opening;
  }
}

type Started = Pick<SigningKeyRow, 'activeFrom'>;

/** The one that signs at a time. Keys are in the order in which they sign. */
export function signerOf<Key extends Started>(keys: readonly Key[], at: number): Key | undefined {
  return keys.findLast(({ activeFrom }) => activeFrom.getTime() <= at);
}

/**
 * From when a key that is to be made now signs. The same for all who ask at about the same time. Undefined if none is needed yet.
 */
export function nextStart(keys: readonly Started[], at: number): number | undefined {
  const last = keys.at(-1)?.activeFrom.getTime();
  if (last === undefined) return Math.floor(at / HOUR_MS) * HOUR_MS;
  const due = last + PERIOD_MS;
  if (at < due - 2 * PUBLISHED_BEFORE_MS) return undefined;
  return Math.max(due, Math.ceil((at + PUBLISHED_BEFORE_MS) / HOUR_MS) * HOUR_MS);
}

/** Those whose last token ended so long ago that nobody needs them. */
export function outlived<Key extends Started & { id: string }>(keys: readonly Key[], at: number): string[] {
  return keys
    .filter((_, index) => {
      const next = keys[index + 1];
      return next !== undefined && next.activeFrom.getTime() + PUBLISHED_AFTER_MS < at;
    })
    .map(({ id }) => id);
}
