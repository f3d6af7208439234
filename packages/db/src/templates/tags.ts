import { and, countDistinct, eq, inArray, notInArray } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { envBuildAssignments } from '../schema/index.ts';

/** How many tags a template has when these are added, whatever they name. */
export async function countTagsWith({ orm }: Queries, templateId: string, tags: string[]): Promise<number> {
  const [row] = await orm
    .select({ count: countDistinct(envBuildAssignments.tag) })
    .from(envBuildAssignments)
    .where(and(eq(envBuildAssignments.envId, templateId), notInArray(envBuildAssignments.tag, tags)));
  return (row?.count ?? 0) + new Set(tags).size;
}

/** Lets tags name a build from now on; what they named before stays a build of the template. */
export async function assignTags(
  db: Queries,
  templateId: string,
  buildId: string,
  tags: string[],
): Promise<void> {
  if (tags.length === 0) return;
  await db.orm.insert(envBuildAssignments).values(tags.map((tag) => ({ envId: templateId, buildId, tag })));
}

/** Takes tags away from a template; absent ones are no error. */
export async function removeTags(db: Database, templateId: string, tags: string[]): Promise<void> {
  if (tags.length === 0) return;
  await db.orm
    .delete(envBuildAssignments)
    .where(and(eq(envBuildAssignments.envId, templateId), inArray(envBuildAssignments.tag, tags)));
}
