import { eq } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { installationFacts } from '../schema/index.ts';

/** Settles a fact of the installation, unless it is settled. @returns the value that holds: the first that was given */
export async function settleFact(db: Database, name: string, value: string): Promise<string> {
  await db.orm.insert(installationFacts).values({ name, value }).onConflictDoNothing();
  const [row] = await db.orm.select().from(installationFacts).where(eq(installationFacts.name, name));
  return row?.value ?? value;
}
