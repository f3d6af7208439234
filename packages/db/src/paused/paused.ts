import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { pausedSandboxes } from '../schema/index.ts';
import { noteHeard } from './heard.ts';

/** Where a paused sandbox is. */
export interface PausedSandbox {
  sandboxId: string;
  teamId: string;
  /** The node that has its saved state. */
  nodeId: string;
  pausedAt: Date;
  /** The run of it that was paused; null if that was not written down. */
  executionId: string | null;
  /** What is shown of it while its node is away, as a text of whoever wrote it; null if that was not written down. */
  shown: string | null;
}

/** Of one statement; a row has six parameters, and a statement at most 65,535. */
const ROWS_AT_ONCE = 1_000;

/** Writes down where sandboxes are paused; what was known of them before counts no more. */
export async function recordPaused(db: Queries, paused: readonly PausedSandbox[]): Promise<void> {
  for (let from = 0; from < paused.length; from += ROWS_AT_ONCE) {
    await db.orm
      .insert(pausedSandboxes)
      .values(paused.slice(from, from + ROWS_AT_ONCE))
      .onConflictDoUpdate({
        target: pausedSandboxes.sandboxId,
        set: {
          nodeId: sql`excluded.node_id`,
          pausedAt: sql`excluded.paused_at`,
          executionId: sql`excluded.execution_id`,
          shown: sql`excluded.shown`,
        },
      });
  }
}

/**
 * A node has these runs of sandboxes as paused no more. What another node has since, or it has paused since, is left as it is.
 * @param heardUntil see `noteHeard`; absent: no other node can take over anything of this one
 */
export async function forgetPaused(
  db: Queries,
  nodeId: string,
  runs: readonly Pick<PausedSandbox, 'sandboxId' | 'executionId'>[],
  heardUntil?: Date,
): Promise<void> {
  if (!heardUntil) return deletePaused(db, nodeId, runs);
  await db.orm.transaction(async (orm) => {
    // In this order, as in `adoptPaused`.
    await noteHeard({ orm }, nodeId, heardUntil);
    await deletePaused({ orm }, nodeId, runs);
  });
}

async function deletePaused(
  db: Queries,
  nodeId: string,
  runs: readonly Pick<PausedSandbox, 'sandboxId' | 'executionId'>[],
): Promise<void> {
  for (let from = 0; from < runs.length; from += ROWS_AT_ONCE) {
    const some = runs.slice(from, from + ROWS_AT_ONCE);
    const ids = some.map(({ sandboxId }) => sandboxId);
    const executions = some.flatMap(({ executionId }) => executionId ?? []);
    // No two sandboxes have a run in common.
    const isOne = or(isNull(pausedSandboxes.executionId), inArray(pausedSandboxes.executionId, executions));
    await db.orm
      .delete(pausedSandboxes)
      .where(and(eq(pausedSandboxes.nodeId, nodeId), inArray(pausedSandboxes.sandboxId, ids), isOne));
  }
}

/** What is paused on a node. */
export async function pausedOn(db: Queries, nodeId: string): Promise<PausedSandbox[]> {
  return db.orm.select().from(pausedSandboxes).where(eq(pausedSandboxes.nodeId, nodeId));
}

/**
 * Makes the rows of a node those that it reports.
 * @param heardUntil when it reported, by its own clock: see `forgetPaused`
 */
export async function reconcilePaused(
  db: Database,
  nodeId: string,
  paused: readonly PausedSandbox[],
  heardUntil?: Date,
): Promise<void> {
  const rows = await pausedOn(db, nodeId);
  const reported = new Set(paused.map(({ sandboxId }) => sandboxId));
  const known = new Map(rows.map((row) => [row.sandboxId, row]));
  await forgetPaused(
    db,
    nodeId,
    rows.filter(({ sandboxId }) => !reported.has(sandboxId)),
    heardUntil,
  );
  await recordPaused(
    db,
    paused.filter(({ sandboxId, executionId }) => {
      const row = known.get(sandboxId);
      return row?.executionId !== executionId || row.shown === null;
    }),
  );
}

/** Whether a node has a run of a sandbox as paused. */
export async function isPausedRun(
  db: Database,
  { sandboxId, nodeId, executionId }: Pick<PausedSandbox, 'sandboxId' | 'nodeId'> & { executionId: string },
): Promise<boolean> {
  const rows = await db.orm
    .select({ sandboxId: pausedSandboxes.sandboxId })
    .from(pausedSandboxes)
    .where(
      and(
        eq(pausedSandboxes.sandboxId, sandboxId),
        eq(pausedSandboxes.nodeId, nodeId),
        eq(pausedSandboxes.executionId, executionId),
      ),
    );
  return rows.length > 0;
}

/** Undefined if the team has no such sandbox that is paused. */
export async function findPaused(
  db: Database,
  teamId: string,
  sandboxId: string,
): Promise<PausedSandbox | undefined> {
  const [row] = await db.orm
    .select()
    .from(pausedSandboxes)
    .where(and(eq(pausedSandboxes.sandboxId, sandboxId), eq(pausedSandboxes.teamId, teamId)));
  return row;
}
