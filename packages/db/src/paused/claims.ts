import { and, eq, exists, inArray, lt, ne, not, or, type SQL } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { pausedSandboxes, runClaims } from '../schema/index.ts';
import { noteHeard } from './heard.ts';

/** A paused sandbox of a node. */
export interface PausedRun {
  sandboxId: string;
  executionId: string;
  nodeId: string;
  /** By the clock of the node that paused it; null or absent if it was stopped to be moved, or that is not known. */
  pausedAt?: Date | null;
}

/** The one who may go on with a paused sandbox. */
export interface RunClaim extends PausedRun {
  holderId: string;
  claimedAt: Date;
  /** The holder has gone on with it, or can. */
  isDone: boolean;
}

const of = ({ sandboxId, executionId, nodeId }: PausedRun) =>
  and(
    eq(runClaims.sandboxId, sandboxId),
    eq(runClaims.executionId, executionId),
    eq(runClaims.nodeId, nodeId),
  );

/** Claims a paused sandbox for a node. @returns the claim that stands: this one, or an earlier one of whomever */
export async function claimRun(db: Database, claim: Omit<RunClaim, 'isDone'>): Promise<RunClaim> {
  for (;;) {
    const [made] = await db.orm.insert(runClaims).values(claim).onConflictDoNothing().returning();
    if (made) return made;
    const [stands] = await db.orm.select().from(runClaims).where(of(claim));
    // It may have been given up in between.
    if (stands) return stands;
  }
}

/** Hands a claim to another node. False if it is not any more what it was. */
export async function passClaim(
  db: Database,
  claim: RunClaim,
  holderId: string,
  now: Date,
): Promise<boolean> {
  const passed = await db.orm
    .update(runClaims)
    .set({ holderId, claimedAt: now })
    .where(
      and(
        of(claim),
        eq(runClaims.holderId, claim.holderId),
        eq(runClaims.claimedAt, claim.claimedAt),
        eq(runClaims.isDone, false),
      ),
    )
    .returning({ sandboxId: runClaims.sandboxId });
  return passed.length > 0;
}

/**
 * The holder of a claim has the sandbox: the node that had it has to free it.
 * @returns false if the claim is not the holder's any more, so that it has to free it itself
 */
export async function finishMove(db: Database, run: PausedRun, holderId: string): Promise<boolean> {
  const finished = await db.orm
    .update(runClaims)
    .set({ isDone: true })
    .where(and(of(run), eq(runClaims.holderId, holderId)))
    .returning({ sandboxId: runClaims.sandboxId });
  return finished.length > 0;
}

/**
 * The node that had a sandbox paused has gone on with it.
 * @returns false if it was moved meanwhile, so that this node has to end it
 */
export async function finishResume(db: Database, run: PausedRun, now: Date): Promise<boolean> {
  while (!(await finishMove(db, run, run.nodeId))) {
    const stands = await claimRun(db, { ...run, holderId: run.nodeId, claimedAt: now });
    if (stands.isDone) return false;
    // A move that has not come to its end: it fails when it does.
    if (stands.holderId !== run.nodeId) await passClaim(db, stands, run.nodeId, now);
  }
  return true;
}

/** Nobody takes a sandbox for paused any more with which its own node has gone on. */
export async function forgetResume(db: Database, { nodeId, ...run }: PausedRun): Promise<void> {
  await db.orm.delete(runClaims).where(and(of({ ...run, nodeId }), eq(runClaims.holderId, nodeId)));
}

/** The holder of a claim has gone on, or has not and will not. What is done stays. */
export async function dropClaim(db: Database, run: PausedRun, holderId: string): Promise<void> {
  await db.orm
    .delete(runClaims)
    .where(and(of(run), eq(runClaims.holderId, holderId), eq(runClaims.isDone, false)));
}

/**
 * Deletes claims that began before a moment, and that nobody needs any more: the answer to a resume or to a move was never heard, or
 * who asked has died. A resume that is done counts until nobody takes the sandbox for paused; a move that is not, until nobody has it
 * paused. Moves that are done are for `forgetMoves`.
 * @param before nothing that began by then is under way
 */
export async function forgetOldClaims(db: Database, before: Date): Promise<void> {
  const { sandboxId, executionId, nodeId, holderId, isDone } = runClaims;
  const isSandbox = eq(pausedSandboxes.sandboxId, sandboxId);
  const isRun = [eq(pausedSandboxes.executionId, executionId), eq(pausedSandboxes.nodeId, nodeId)];
  const isPaused = (...conditions: SQL[]) =>
    exists(
      db.orm
        .select({ sandboxId: pausedSandboxes.sandboxId })
        .from(pausedSandboxes)
        .where(and(...conditions)),
    );
  const ofResume = and(eq(holderId, nodeId), or(eq(isDone, false), not(isPaused(isSandbox, ...isRun))));
  const ofMove = and(ne(holderId, nodeId), eq(isDone, false), not(isPaused(isSandbox)));
  await db.orm.delete(runClaims).where(and(lt(runClaims.claimedAt, before), or(ofResume, ofMove)));
}

/** Ids of the sandboxes that were moved away from a node, and that it may still have. */
export async function movedFrom(db: Database, nodeId: string): Promise<string[]> {
  const rows = await db.orm
    .select({ sandboxId: runClaims.sandboxId })
    .from(runClaims)
    .where(and(eq(runClaims.nodeId, nodeId), ne(runClaims.holderId, nodeId), eq(runClaims.isDone, true)));
  return [...new Set(rows.map(({ sandboxId }) => sandboxId))];
}

/** Claims of moves that began before a moment, and after which the node that had the sandbox has not freed it yet. */
export async function unfinishedMoves(db: Database, before: Date): Promise<RunClaim[]> {
  return db.orm
    .select()
    .from(runClaims)
    .where(and(ne(runClaims.holderId, runClaims.nodeId), lt(runClaims.claimedAt, before)));
}

/** A node has nothing any more of sandboxes that were moved away from it. */
export async function forgetMoves(
  db: Database,
  nodeId: string,
  sandboxIds: readonly string[],
): Promise<void> {
  if (sandboxIds.length === 0) return;
  await db.orm.transaction(async (orm) => {
    const forgotten = await orm
      .delete(runClaims)
      .where(
        and(
          eq(runClaims.nodeId, nodeId),
          eq(runClaims.isDone, true),
          inArray(runClaims.sandboxId, [...sandboxIds]),
        ),
      )
      .returning({ pausedAt: runClaims.pausedAt });
    // The claim kept the node's saved state from being taken for one that nobody has heard of.
    const last = Math.max(0, ...forgotten.map(({ pausedAt }) => pausedAt?.getTime() ?? 0));
    if (last > 0) await noteHeard({ orm }, nodeId, new Date(last));
  });
}
