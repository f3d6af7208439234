import { and, eq, inArray, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { heardPauses, pausedSandboxes, runClaims, teams } from '../schema/index.ts';
import type { PausedSandbox } from './paused.ts';

/** Of one statement. */
const ROWS_AT_ONCE = 1_000;

const NEVER = new Date(0);

/** What a node had paused by a moment, by its own clock, and has no row, is over. A moment that comes before a known one changes nothing. */
export async function noteHeard(db: Queries, nodeId: string, heardUntil: Date): Promise<void> {
  await db.orm
    .insert(heardPauses)
    .values({ nodeId, heardUntil })
    .onConflictDoUpdate({
      target: heardPauses.nodeId,
      set: { heardUntil: sql`greatest(${heardPauses.heardUntil}, excluded.heard_until)` },
    });
}

/** Nodes, of those that there are and of those that there were, whose pauses control planes have heard of. */
export async function heardNodes(db: Queries): Promise<string[]> {
  return (await db.orm.select({ nodeId: heardPauses.nodeId }).from(heardPauses)).map(({ nodeId }) => nodeId);
}

/** Which of some sandboxes are written down as paused, wherever. */
export async function pausedAmong(db: Queries, sandboxIds: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (let from = 0; from < sandboxIds.length; from += ROWS_AT_ONCE) {
    const rows = await db.orm
      .select({ sandboxId: pausedSandboxes.sandboxId })
      .from(pausedSandboxes)
      .where(inArray(pausedSandboxes.sandboxId, sandboxIds.slice(from, from + ROWS_AT_ONCE)));
    for (const { sandboxId } of rows) found.add(sandboxId);
  }
  return found;
}

/** A paused run, as somebody else than the database still has it. */
export type PausedTrace = Pick<PausedSandbox, 'sandboxId' | 'nodeId' | 'pausedAt'> & { executionId: string };

/**
 * Which of some paused runs are over: control planes have heard of them, and they have no row and no claim any more. Such a run never
 * gets a row again.
 */
export async function overAmong(db: Queries, runs: readonly PausedTrace[]): Promise<PausedTrace[]> {
  const over: PausedTrace[] = [];
  for (let from = 0; from < runs.length; from += ROWS_AT_ONCE) {
    const some = runs.slice(from, from + ROWS_AT_ONCE);
    // In this order: what is heard of has its row before, and until it is over.
    const heard = await db.orm
      .select()
      .from(heardPauses)
      .where(inArray(heardPauses.nodeId, [...new Set(some.map(({ nodeId }) => nodeId))]));
    const until = new Map(heard.map(({ nodeId, heardUntil }) => [nodeId, heardUntil]));
    const ids = some.map(({ sandboxId }) => sandboxId);
    const there = await Promise.all(
      [runClaims, pausedSandboxes].map((table) =>
        db.orm
          .select({ sandboxId: table.sandboxId, executionId: table.executionId })
          .from(table)
          .where(inArray(table.sandboxId, ids)),
      ),
    );
    const known = new Set(there.flat().map(({ sandboxId, executionId }) => `${sandboxId}/${executionId}`));
    // Rows of earlier versions name no run.
    const isKnown = ({ sandboxId, executionId }: PausedTrace) =>
      known.has(`${sandboxId}/${executionId}`) || known.has(`${sandboxId}/null`);
    over.push(...some.filter((run) => !isKnown(run) && run.pausedAt <= (until.get(run.nodeId) ?? NEVER)));
  }
  return over;
}

/**
 * Writes down what a node that is silent has paused while nobody heard it, as its saved states say. What is known to be over, has been
 * moved, is paused elsewhere or since, or is of a team that there is no more, is left as it is.
 * @returns ids of those that were entered
 */
export async function adoptPaused(
  db: Database,
  nodeId: string,
  paused: readonly PausedSandbox[],
): Promise<string[]> {
  const entered: string[] = [];
  for (let from = 0; from < paused.length; from += ROWS_AT_ONCE) {
    const some = paused.slice(from, from + ROWS_AT_ONCE);
    entered.push(...(await db.orm.transaction((orm) => adopt({ orm }, nodeId, some))));
  }
  return entered;
}

async function adopt({ orm }: Queries, nodeId: string, paused: readonly PausedSandbox[]): Promise<string[]> {
  await orm.insert(heardPauses).values({ nodeId, heardUntil: NEVER }).onConflictDoNothing();
  // Whoever learns that something of the node is over has to wait, or has written it down before this.
  const [heard] = await orm.select().from(heardPauses).where(eq(heardPauses.nodeId, nodeId)).for('update');
  const unheard = paused.filter(({ pausedAt }) => heard && pausedAt > heard.heardUntil);
  if (unheard.length === 0) return [];
  const claims = await orm
    .select()
    .from(runClaims)
    .where(
      and(
        eq(runClaims.nodeId, nodeId),
        inArray(
          runClaims.sandboxId,
          unheard.map(({ sandboxId }) => sandboxId),
        ),
      ),
    );
  const claimed = new Set(claims.map((claim) => `${claim.sandboxId}/${claim.executionId}`));
  const owners = await orm
    .select({ id: teams.id })
    .from(teams)
    .where(inArray(teams.id, [...new Set(unheard.map(({ teamId }) => teamId))]));
  const known = new Set(owners.map(({ id }) => id));
  const rows = unheard.filter(
    ({ sandboxId, executionId, teamId }) => !claimed.has(`${sandboxId}/${executionId}`) && known.has(teamId),
  );
  if (rows.length === 0) return [];
  const entered = await orm
    .insert(pausedSandboxes)
    .values(rows)
    .onConflictDoNothing()
    .returning({ sandboxId: pausedSandboxes.sandboxId });
  return entered.map(({ sandboxId }) => sandboxId);
}
