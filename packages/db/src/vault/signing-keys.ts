import { asc, inArray } from 'drizzle-orm';
import type { Queries } from '../connection/database.ts';
import { signingKeys } from '../schema/index.ts';

/** A key that identity tokens are signed with, its private half encrypted. */
export interface SigningKeyRow {
  id: string;
  /** A JSON Web Key. */
  publicKey: Record<string, string>;
  sealedKey: string;
  /** Of the master key that it is encrypted under. */
  keyId: string;
  /** It signs nothing before. */
  activeFrom: Date;
}

/** Those that sign first come first. */
export function listSigningKeys({ orm }: Queries): Promise<SigningKeyRow[]> {
  return orm.select().from(signingKeys).orderBy(asc(signingKeys.activeFrom));
}

/** Adds a key, unless another becomes active at that very time. */
export async function addSigningKey({ orm }: Queries, row: SigningKeyRow): Promise<void> {
  await orm.insert(signingKeys).values(row).onConflictDoNothing();
}

export async function deleteSigningKeys({ orm }: Queries, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await orm.delete(signingKeys).where(inArray(signingKeys.id, [...ids]));
}
