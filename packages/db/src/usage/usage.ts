import { and, eq, gte, inArray, lt, lte, or, sql } from 'drizzle-orm';
import type { Database, Orm } from '../connection/database.ts';
import { envBuilds, envs, teams, usageClock, usageDays, usageRuns, volumes } from '../schema/index.ts';
import { byDay } from './days.ts';

/** A run of a sandbox: from its start, or a resume, to its pause or end. Moves to other nodes do not end it. */
export interface Run {
  sandboxId: string;
  teamId: string;
  vcpu: number;
  memoryMb: number;
  startedAt: Date;
  /** Its end, or when it was last seen to run. */
  until: Date;
}

/** What a team used on one day. */
export interface UsageDay {
  /** `2026-12-01`, UTC. */
  day: string;
  sandboxes: number;
  vcpuSeconds: number;
  memoryMibSeconds: number;
  pausedMibSeconds: number;
  templateMibSeconds: number;
  volumeMibSeconds: number;
}

type Amounts = Partial<Omit<UsageDay, 'day'>>;

/** Adds to what a team used on a day. */
async function add(orm: Orm, teamId: string, day: string, amounts: Amounts): Promise<void> {
  const set = Object.fromEntries(
    Object.entries(amounts).map(([name, value]) => [
      name,
      sql`${usageDays[name as keyof Amounts]} + ${value}`,
    ]),
  );
  await orm
    .insert(usageDays)
    .values({ teamId, day, ...amounts })
    .onConflictDoUpdate({ target: [usageDays.teamId, usageDays.day], set });
}

/** Those of the teams that there are still. */
async function existing<T extends { teamId: string }>(orm: Orm, of: readonly T[]): Promise<T[]> {
  const ids = [...new Set(of.map(({ teamId }) => teamId))];
  if (ids.length === 0) return [];
  const rows = await orm.select({ id: teams.id }).from(teams).where(inArray(teams.id, ids));
  const known = new Set(rows.map(({ id }) => id));
  return of.filter(({ teamId }) => known.has(teamId));
}

/** Counts sandboxes that were created, each once however often it is told. */
export function countCreated(
  { orm }: Database,
  created: readonly { sandboxId: string; teamId: string; at: Date }[],
): Promise<void> {
  return orm.transaction(async (tx) => {
    for (const { sandboxId: id, teamId, at } of await existing(tx, created)) {
      const mark = { id, teamId, vcpu: 0, memoryMb: 0, startedAt: at, until: at, isCounted: true };
      const rows = await tx
        .insert(usageRuns)
        .values(mark)
        .onConflictDoNothing()
        .returning({ id: usageRuns.id });
      if (rows.length > 0) await add(tx, teamId, at.toISOString().slice(0, 10), { sandboxes: 1 });
    }
  });
}

/** Counts runs that are over, each once however often it is told. */
export function countEnded({ orm }: Database, ended: readonly Run[]): Promise<void> {
  return orm.transaction(async (tx) => {
    for (const run of await existing(tx, ended)) {
      const row = rowOf(run);
      const rows = await tx
        .insert(usageRuns)
        .values({ ...row, isCounted: true })
        .onConflictDoUpdate({
          target: usageRuns.id,
          set: { vcpu: row.vcpu, memoryMb: row.memoryMb, until: row.until, isCounted: true },
          setWhere: eq(usageRuns.isCounted, false),
        })
        .returning({ id: usageRuns.id });
      if (rows.length > 0) await addRun(tx, run);
    }
  });
}

function rowOf({ sandboxId, ...run }: Run) {
  return { id: `${sandboxId}@${run.startedAt.getTime()}`, ...run };
}

type RunRow = Omit<Run, 'sandboxId'>;

async function addRun(orm: Orm, { teamId, vcpu, memoryMb, startedAt, until }: RunRow): Promise<void> {
  for (const { day, seconds } of byDay(startedAt.getTime(), until.getTime())) {
    await add(orm, teamId, day, { vcpuSeconds: vcpu * seconds, memoryMibSeconds: memoryMb * seconds });
  }
}

const RUNS_AT_ONCE = 200;

/** Takes down how far runs have come that go on, so that nothing of them is lost with their node. */
export async function noteRunning({ orm }: Database, running: readonly Run[]): Promise<void> {
  const known = await existing(orm, running);
  for (let at = 0; at < known.length; at += RUNS_AT_ONCE) {
    await orm
      .insert(usageRuns)
      .values(known.slice(at, at + RUNS_AT_ONCE).map(rowOf))
      .onConflictDoUpdate({
        target: usageRuns.id,
        set: {
          vcpu: sql`excluded.vcpu`,
          memoryMb: sql`excluded.memory_mb`,
          until: sql`greatest(${usageRuns.until}, excluded.until)`,
        },
        setWhere: eq(usageRuns.isCounted, false),
      });
  }
}

/** Counts runs that no one has seen since a time, as far as they were seen, and forgets those that were counted before it. */
export function sweepRuns({ orm }: Database, before: Date): Promise<void> {
  return orm.transaction(async (tx) => {
    await tx.delete(usageRuns).where(and(eq(usageRuns.isCounted, true), lt(usageRuns.until, before)));
    const lost = await tx
      .update(usageRuns)
      .set({ isCounted: true })
      .where(and(eq(usageRuns.isCounted, false), lt(usageRuns.until, before)))
      .returning();
    for (const run of lost) await addRun(tx, run);
  });
}

/**
 * Adds what teams keep for the time since it was last added. Of several that ask, one does it.
 * @param everyMs not before so much time has passed
 * @param paused MiB of paused sandboxes, by team; what else teams keep is in the database
 */
export function countKept(
  { orm }: Database,
  { now, everyMs, paused }: { now: number; everyMs: number; paused: ReadonlyMap<string, number> },
): Promise<void> {
  return orm.transaction(async (tx) => {
    await tx.insert(usageClock).values({ id: 1, countedUntil: now }).onConflictDoNothing();
    const [clock] = await tx.select().from(usageClock).where(eq(usageClock.id, 1)).for('update');
    if (!clock || now - clock.countedUntil < everyMs) return;
    await tx.update(usageClock).set({ countedUntil: now }).where(eq(usageClock.id, 1));
    for (const { teamId, ...kept } of await existing(tx, await keptByTeams(tx, paused))) {
      for (const { day, seconds } of byDay(clock.countedUntil, now)) {
        await add(tx, teamId, day, {
          pausedMibSeconds: kept.paused * seconds,
          templateMibSeconds: kept.templates * seconds,
          volumeMibSeconds: kept.volumes * seconds,
        });
      }
    }
  });
}

/** What teams keep, MiB: saved states, the disks of templates' builds that are ready, what volumes may hold. */
async function keptByTeams(orm: Orm, paused: ReadonlyMap<string, number>) {
  const kept = new Map<string, { teamId: string; paused: number; templates: number; volumes: number }>();
  const of = (teamId: string) => {
    const known = kept.get(teamId) ?? { teamId, paused: 0, templates: 0, volumes: 0 };
    kept.set(teamId, known);
    return known;
  };
  for (const [teamId, megabytes] of paused) of(teamId).paused += megabytes;
  const builds = await orm
    .select({
      teamId: envs.teamId,
      snapshots: sql<number>`
        coalesce(sum(${envBuilds.snapshotBytes}) filter (where ${envBuilds.sandboxId} is not null), 0)::float8 / 1048576
      `,
      templates: sql<number>`
        coalesce(sum(${envBuilds.totalDiskSizeMb}) filter (where ${envBuilds.sandboxId} is null), 0)::float8
      `,
    })
    .from(envBuilds)
    .innerJoin(envs, eq(envs.id, envBuilds.envId))
    .where(and(sql`${envs.deletedAt} is null`, eq(envBuilds.status, 'ready')))
    .groupBy(envs.teamId);
  for (const { teamId, snapshots, templates } of builds) {
    of(teamId).paused += snapshots;
    of(teamId).templates += templates;
  }
  const held = await orm
    .select({ teamId: volumes.teamId, megabytes: sql<number>`sum(${volumes.sizeMb})::float8` })
    .from(volumes)
    .groupBy(volumes.teamId);
  for (const { teamId, megabytes } of held) of(teamId).volumes += megabytes;
  return [...kept.values()];
}

export interface UsageQuery {
  teamId: string;
  /** `2026-12-01`; both days are included. */
  from: string;
  to: string;
  /** The team's runs that go on. */
  running: readonly Run[];
}

/** What a team used, ascending by day, without days of nothing: what was counted, and the runs that were not yet. */
export function readUsage({ orm }: Database, query: UsageQuery): Promise<UsageDay[]> {
  const { teamId, from, to } = query;
  const running = query.running.map(rowOf);
  return orm.transaction(
    async (tx) => {
      const counted = await tx
        .select()
        .from(usageDays)
        .where(and(eq(usageDays.teamId, teamId), gte(usageDays.day, from), lte(usageDays.day, to)));
      const days = new Map(counted.map(({ teamId: _, ...day }) => [day.day, day]));
      const ids = running.map(({ id }) => id);
      const rows = await tx
        .select()
        .from(usageRuns)
        .where(
          and(eq(usageRuns.teamId, teamId), or(eq(usageRuns.isCounted, false), inArray(usageRuns.id, ids))),
        );
      // What is over was counted, whoever still thinks that it runs.
      const over = new Set(rows.flatMap(({ id, isCounted }) => (isCounted ? id : [])));
      const open = new Map([...rows, ...running].flatMap((run) => (over.has(run.id) ? [] : [[run.id, run]])));
      for (const { vcpu, memoryMb, startedAt, until } of open.values()) {
        for (const { day, seconds } of byDay(startedAt.getTime(), until.getTime())) {
          if (day < from || day > to) continue;
          const known = days.get(day) ?? { day, ...NOTHING };
          known.vcpuSeconds += vcpu * seconds;
          known.memoryMibSeconds += memoryMb * seconds;
          days.set(day, known);
        }
      }
      return [...days.values()].sort((a, b) => (a.day < b.day ? -1 : 1));
    },
    { isolationLevel: 'repeatable read' },
  );
}

const NOTHING = {
  ...{ sandboxes: 0, vcpuSeconds: 0, memoryMibSeconds: 0 },
  ...{ pausedMibSeconds: 0, templateMibSeconds: 0, volumeMibSeconds: 0 },
};
