import { ne } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { nodeStandings } from '../schema/index.ts';

export const STANDINGS = ['ready', 'draining', 'standby', 'unhealthy'] as const;

/** What an operator said of a node: only on one that is `ready` something new is started. */
export type Standing = (typeof STANDINGS)[number];

export interface NodeStanding {
  nodeId: string;
  standing: Standing;
  changedAt: Date;
}

/** Of the nodes of which something was said; all others are ready. */
export async function listStandings(db: Database): Promise<NodeStanding[]> {
  const rows = await db.orm.select().from(nodeStandings);
  return rows.map((row) => ({ ...row, standing: row.standing as Standing }));
}

/** Changes a node's standing. False if that must not be: what is being drained cannot stand by. */
export async function setStanding(
  db: Queries,
  { nodeId, standing, changedAt }: NodeStanding,
): Promise<boolean> {
  const mayChange = standing === 'standby' ? ne(nodeStandings.standing, 'draining') : undefined;
  const rows = await db.orm
    .insert(nodeStandings)
    .values({ nodeId, standing, changedAt })
    .onConflictDoUpdate({
      target: nodeStandings.nodeId,
      set: { standing, changedAt },
      ...(mayChange && { setWhere: mayChange }),
    })
    .returning({ nodeId: nodeStandings.nodeId });
  return rows.length > 0;
}
