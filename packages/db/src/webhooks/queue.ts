import { and, asc, count, desc, eq, gt, inArray, isNotNull, lt, or, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { teamLimits, webhookEvents, webhooks } from '../schema/index.ts';

export type OwedState = 'pending' | 'delivered' | 'dead';

/** An event that a webhook is to get, or got. */
export interface OwedEvent {
  webhookId: string;
  eventId: string;
  teamId: string;
  sandboxId: string;
  eventType: string;
  eventAt: Date;
  /** What is sent. */
  body: string;
}

/** One that is due, for whoever has the lease. */
export interface DueEvent extends OwedEvent {
  lease: string;
  /** Made before. */
  attempts: number;
  queuedAt: Date;
}

/** One as operators and teams see it. */
export interface OwedView extends Omit<OwedEvent, 'body'> {
  state: OwedState;
  attempts: number;
  /** When it is tried again, if it is pending. */
  dueAt: Date;
  settledAt: Date | null;
  /** Why the last attempt failed; null if none has. */
  lastError: string | null;
}

/** What an enabled webhook hears of. */
export interface Listener {
  webhookId: string;
  teamId: string;
  events: string[];
  activeSince: Date;
  eventsTtlDays: number;
}

/** The enabled webhooks of these teams. */
export function listListeners(db: Queries, teamIds: readonly string[]): Promise<Listener[]> {
  return db.orm
    .select({
      webhookId: webhooks.id,
      teamId: webhooks.teamId,
      events: webhooks.events,
      activeSince: webhooks.activeSince,
      eventsTtlDays: teamLimits.eventsTtlDays,
    })
    .from(webhooks)
    .innerJoin(teamLimits, eq(teamLimits.teamId, webhooks.teamId))
    .where(and(inArray(webhooks.teamId, [...teamIds]), eq(webhooks.enabled, true)));
}

const ROWS_AT_ONCE = 200;

/**
 * Owes events to webhooks, each once however often it is told. Beyond `mostPending` of a webhook they are dead at once: they can
 * be replayed.
 */
export async function oweEvents(
  db: Database,
  owed: readonly OwedEvent[],
  { now, mostPending }: { now: Date; mostPending: number },
): Promise<void> {
  if (owed.length === 0) return;
  const ids = [...new Set(owed.map(({ webhookId }) => webhookId))];
  const counts = await db.orm
    .select({ id: webhookEvents.webhookId, count: count() })
    .from(webhookEvents)
    .where(and(eq(webhookEvents.state, 'pending'), inArray(webhookEvents.webhookId, ids)))
    .groupBy(webhookEvents.webhookId);
  const pending = new Map(counts.map(({ id, count }) => [id, count]));
  const rows = owed.map((event) => {
    const before = pending.get(event.webhookId) ?? 0;
    pending.set(event.webhookId, before + 1);
    const state: OwedState = before < mostPending ? 'pending' : 'dead';
    return { ...event, state, queuedAt: now, dueAt: now, settledAt: state === 'dead' ? now : null };
  });
  for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
    await db.orm
      .insert(webhookEvents)
      .values(rows.slice(at, at + ROWS_AT_ONCE))
      .onConflictDoNothing();
  }
}

export interface LeaseOptions {
  now: Date;
  leaseMs: number;
  /** What every claimed event's lease is called. */
  lease: string;
  /** Most that are tried of one team at a time, by all APIs. */
  perTeam: number;
  /** Most that are claimed. */
  most: number;
}

/**
 * Claims events that are due: of each sandbox and webhook the oldest that is pending, so that none overtakes another, and first one
 * of each team. Whoever claims at the same time gets others.
 */
export async function claimDue(
  { orm }: Database,
  { now, leaseMs, lease, perTeam, most }: LeaseOptions,
): Promise<DueEvent[]> {
  const at = now.toISOString();
  const until = new Date(now.getTime() + leaseMs).toISOString();
  const free = sql`(w.lease_until is null or w.lease_until <= ${at}::timestamptz)`;
  const chosen = sql`
    with heads as (
      select distinct on (webhook_id, sandbox_id) webhook_id, event_id, team_id, due_at, lease_until
      from webhook_events where state = 'pending'
      order by webhook_id, sandbox_id, event_at, event_id
    ), busy as (
      select team_id, count(*) as count from heads where lease_until > ${at}::timestamptz group by team_id
    ), due as (
      select webhook_id, event_id, team_id, due_at,
        row_number() over (partition by team_id order by due_at, event_id) as place
      from heads w where due_at <= ${at}::timestamptz and ${free}
    )
    select webhook_id, event_id from due left join busy using (team_id)
    where place <= ${perTeam} - coalesce(busy.count, 0)
    order by place, due_at limit ${most}
  `;
  const claimed = await orm
    .update(webhookEvents)
    .set({ lease, leaseUntil: new Date(until) })
    .where(
      and(
        sql`(${webhookEvents.webhookId}, ${webhookEvents.eventId}) in (${chosen})`,
        eq(webhookEvents.state, 'pending'),
        or(sql`${webhookEvents.leaseUntil} is null`, sql`${webhookEvents.leaseUntil} <= ${at}::timestamptz`),
      ),
    )
    .returning();
  return claimed.map((row) => ({ ...row, lease }));
}

type Claimed = Pick<DueEvent, 'webhookId' | 'eventId' | 'lease'>;

function isClaimed({ webhookId, eventId, lease }: Claimed) {
  return and(
    eq(webhookEvents.webhookId, webhookId),
    eq(webhookEvents.eventId, eventId),
    eq(webhookEvents.lease, lease),
    eq(webhookEvents.state, 'pending'),
  );
}

/** What came of an attempt: the event is settled, or is tried again. */
export type OwedOutcome = {
  /** Made by now. */
  attempts: number;
  /** Why it failed; null if it did not. */
  error: string | null;
} & ({ state: 'delivered' | 'dead'; at: Date } | { dueAt: Date });

/** Writes down what came of a claimed event. Nothing changes if another has claimed it since. */
export async function settleOwed({ orm }: Database, claimed: Claimed, outcome: OwedOutcome): Promise<void> {
  const settled =
    'state' in outcome ? { state: outcome.state, settledAt: outcome.at } : { dueAt: outcome.dueAt };
  const { attempts, error: lastError } = outcome;
  await orm
    .update(webhookEvents)
    .set({ ...settled, attempts, lastError, lease: null, leaseUntil: null })
    .where(isClaimed(claimed));
}

/** Gives up all leases: of a database that only this process has, after its start. */
export async function dropLeases({ orm }: Database): Promise<void> {
  await orm
    .update(webhookEvents)
    .set({ lease: null, leaseUntil: null })
    .where(isNotNull(webhookEvents.leaseUntil));
}

/** Stops what a webhook is owed: it is not sent, and can be replayed. */
export async function stopOwed({ orm }: Queries, webhookId: string, at: Date): Promise<void> {
  await orm
    .update(webhookEvents)
    .set({ state: 'dead', settledAt: at, lease: null, leaseUntil: null })
    .where(and(eq(webhookEvents.webhookId, webhookId), eq(webhookEvents.state, 'pending')));
}

/** Owes events again that were settled. Tells how many. @param eventId absent: all that are dead */
export async function replayOwed(
  { orm }: Database,
  { webhookId, eventId, at }: { webhookId: string; eventId?: string | undefined; at: Date },
): Promise<number> {
  const which =
    eventId === undefined
      ? eq(webhookEvents.state, 'dead')
      : and(eq(webhookEvents.eventId, eventId), inArray(webhookEvents.state, ['dead', 'delivered']));
  const rows = await orm
    .update(webhookEvents)
    .set({ state: 'pending', attempts: 0, queuedAt: at, dueAt: at, settledAt: null })
    .where(and(eq(webhookEvents.webhookId, webhookId), which))
    .returning({ eventId: webhookEvents.eventId });
  return rows.length;
}

const viewed = {
  webhookId: webhookEvents.webhookId,
  eventId: webhookEvents.eventId,
  teamId: webhookEvents.teamId,
  sandboxId: webhookEvents.sandboxId,
  eventType: webhookEvents.eventType,
  eventAt: webhookEvents.eventAt,
  state: webhookEvents.state,
  attempts: webhookEvents.attempts,
  dueAt: webhookEvents.dueAt,
  settledAt: webhookEvents.settledAt,
  lastError: webhookEvents.lastError,
};

/** What a webhook is or was owed, newest event first. @param state absent: of any */
export function listOwed(
  { orm }: Database,
  { webhookId, state, limit }: { webhookId: string; state?: OwedState | undefined; limit: number },
): Promise<OwedView[]> {
  return orm
    .select(viewed)
    .from(webhookEvents)
    .where(
      and(
        eq(webhookEvents.webhookId, webhookId),
        state === undefined ? undefined : eq(webhookEvents.state, state),
      ),
    )
    .orderBy(desc(webhookEvents.eventAt), desc(webhookEvents.eventId))
    .limit(limit);
}

/** Forgets what was settled before a time, the oldest beyond `mostSettled` of a webhook, and what a deleted webhook was owed. */
export async function sweepOwed(
  { orm }: Database,
  { before, mostSettled }: { before: Date; mostSettled: number },
): Promise<void> {
  await orm.delete(webhookEvents).where(lt(webhookEvents.settledAt, before));
  await orm
    .delete(webhookEvents)
    .where(sql`not exists (select 1 from ${webhooks} where ${webhooks.id} = ${webhookEvents.webhookId})`);
  const full = await orm
    .select({ id: webhookEvents.webhookId })
    .from(webhookEvents)
    .where(isNotNull(webhookEvents.settledAt))
    .groupBy(webhookEvents.webhookId)
    .having(gt(count(), mostSettled));
  for (const { id } of full) {
    const [newest] = await orm
      .select({ settledAt: webhookEvents.settledAt })
      .from(webhookEvents)
      .where(and(eq(webhookEvents.webhookId, id), isNotNull(webhookEvents.settledAt)))
      .orderBy(desc(webhookEvents.settledAt), asc(webhookEvents.eventId))
      .offset(mostSettled)
      .limit(1);
    if (!newest?.settledAt) continue;
    await orm
      .delete(webhookEvents)
      .where(
        and(
          eq(webhookEvents.webhookId, id),
          sql`${webhookEvents.settledAt} <= ${newest.settledAt.toISOString()}::timestamptz`,
        ),
      );
  }
}
