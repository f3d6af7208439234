import { and, eq, inArray } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { envBuildAssignments } from '../schema/index.ts';

/** Lets tags name a build from now on; what they named before stays a build of the template. */
export async function assignTags(
  db: Database,
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
