import { and, eq, ne } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { settleFact } from '../installation/facts.ts';
import { installationFacts, secrets, signingKeys } from '../schema/index.ts';

const FACT = 'master-key';

/** Settles which master key the database's secrets are encrypted under, unless it is settled. @returns its id */
export function settleMasterKey(db: Database, keyId: string): Promise<string> {
  return settleFact(db, FACT, keyId);
}

/** Keeps the key in use until the transaction is over. @returns its id */
export async function holdMasterKey({ orm }: Queries): Promise<string> {
  const [fact] = await orm
    .select()
    .from(installationFacts)
    .where(eq(installationFacts.name, FACT))
    .for('share');
  if (!fact) throw new Error('the database names no master key: settle it first');
  return fact.value;
}

/** Has all that is encrypted from now on be so under another key. */
export async function useMasterKey({ orm }: Database, keyId: string): Promise<void> {
  await orm.update(installationFacts).set({ value: keyId }).where(eq(installationFacts.name, FACT));
}

/** Something encrypted that is not so under the key in use. */
export type SealedRow = { id: string; sealed: string; keyId: string } & (
  | { table: 'secrets'; teamId: string; version: number }
  | { table: 'signing_keys' }
);

/** Some of what is encrypted under other keys than this. */
export async function listSealedOtherwise(
  { orm }: Database,
  keyId: string,
  most: number,
): Promise<SealedRow[]> {
  const ofTeams = await orm
    .select({
      ...{ id: secrets.id, teamId: secrets.teamId, version: secrets.version },
      ...{ sealed: secrets.sealedValue, keyId: secrets.keyId },
    })
    .from(secrets)
    .where(ne(secrets.keyId, keyId))
    .limit(most);
  const ofSigning = await orm
    .select({ id: signingKeys.id, sealed: signingKeys.sealedKey, keyId: signingKeys.keyId })
    .from(signingKeys)
    .where(ne(signingKeys.keyId, keyId))
    .limit(most);
  return [
    ...ofTeams.map((row) => ({ table: 'secrets' as const, ...row })),
    ...ofSigning.map((row) => ({ table: 'signing_keys' as const, ...row })),
  ];
}

/** Replaces how a row is encrypted, unless it has changed since. */
export async function reseal(
  { orm }: Database,
  { table, id, sealed: before }: SealedRow,
  { sealed, keyId }: { sealed: string; keyId: string },
): Promise<void> {
  if (table === 'secrets') {
    await orm
      .update(secrets)
      .set({ sealedValue: sealed, keyId })
      .where(and(eq(secrets.id, id), eq(secrets.sealedValue, before)));
  } else {
    await orm
      .update(signingKeys)
      .set({ sealedKey: sealed, keyId })
      .where(and(eq(signingKeys.id, id), eq(signingKeys.sealedKey, before)));
  }
}
