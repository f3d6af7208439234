import { randomBytes } from 'node:crypto';
import { and, asc, eq } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { teamLimits, teams, usersTeams } from '../schema/index.ts';
import { limitColumns, type TeamLimits } from '../tiers/limits.ts';

export interface Team {
  id: string;
  name: string;
  slug: string;
  email: string;
  tier: string;
  isBlocked: boolean;
  blockedReason: string | null;
  isBanned: boolean;
  limits: TeamLimits;
}

/** The parts of a Team, for a select that joins teamLimits; see toTeam. */
export const teamColumns = {
  team: {
    id: teams.id,
    name: teams.name,
    slug: teams.slug,
    email: teams.email,
    tier: teams.tier,
    isBlocked: teams.isBlocked,
    blockedReason: teams.blockedReason,
    isBanned: teams.isBanned,
  },
  limits: limitColumns,
};

/** Puts together what a select of teamColumns gives. */
export function toTeam(row: { team: Omit<Team, 'limits'>; limits: TeamLimits }): Team {
  return { ...row.team, limits: row.limits };
}

export async function findTeam(db: Database, teamId: string): Promise<Team | undefined> {
  const [row] = await db.orm
    .select(teamColumns)
    .from(teams)
    .innerJoin(teamLimits, eq(teamLimits.teamId, teams.id))
    .where(eq(teams.id, teamId));
  return row && toTeam(row);
}

export async function listTeams(db: Database): Promise<Team[]> {
  const rows = await db.orm
    .select(teamColumns)
    .from(teams)
    .innerJoin(teamLimits, eq(teamLimits.teamId, teams.id))
    .orderBy(asc(teams.createdAt), asc(teams.id));
  return rows.map(toTeam);
}

export interface UserTeam {
  team: Team;
  isDefault: boolean;
}

/** The teams of a user, the default one first. */
export async function listUserTeams(db: Database, userId: string): Promise<UserTeam[]> {
  const rows = await db.orm
    .select({ ...teamColumns, isDefault: usersTeams.isDefault })
    .from(usersTeams)
    .innerJoin(teams, eq(teams.id, usersTeams.teamId))
    .innerJoin(teamLimits, eq(teamLimits.teamId, teams.id))
    .where(eq(usersTeams.userId, userId))
    .orderBy(asc(usersTeams.createdAt), asc(teams.id));
  return rows
    .map((row) => ({ team: toTeam(row), isDefault: row.isDefault }))
    .sort((a, b) => Number(b.isDefault) - Number(a.isDefault));
}

/** A team's namespace from its name: what stands before an `@`, in lower case, spaces as `-`, all else dropped. */
export function slugOf(name: string): string {
  const slug = (name.split('@')[0] ?? '')
    .toLowerCase()
    .trim()
    .replace(/\s+/g, '-')
    .replace(/[^a-z0-9-]/g, '');
  return slug || 'team';
}

export interface NewTeam {
  name: string;
  email: string;
  /** A tier's id. */
  tier: string;
  /** Generated where absent. */
  id?: string;
}

/** Makes a team under a slug of its own. */
export async function createTeam(db: Database, team: NewTeam): Promise<{ id: string; slug: string }> {
  const base = slugOf(team.name);
  for (let slug = base; ; slug = `${base}-${randomBytes(3).toString('hex')}`) {
    const [row] = await db.orm
      .insert(teams)
      .values({ ...team, slug })
      .onConflictDoNothing({ target: teams.slug })
      .returning({ id: teams.id, slug: teams.slug });
    if (row) return row;
  }
}

export interface TeamStanding {
  isBlocked?: boolean;
  blockedReason?: string | null;
  isBanned?: boolean;
}

/** Blocks or bans a team, or lifts it. Returns false if there is no such team. */
export async function setTeamStanding(
  db: Database,
  teamId: string,
  standing: TeamStanding,
): Promise<boolean> {
  const rows = await db.orm
    .update(teams)
    .set(standing)
    .where(eq(teams.id, teamId))
    .returning({ id: teams.id });
  return rows.length > 0;
}

/** Puts a user into a team; where it is the new default, the old default is none any more. */
export async function addUserToTeam(
  db: Database,
  membership: { userId: string; teamId: string; isDefault: boolean },
): Promise<void> {
  await db.orm.transaction(async (tx) => {
    if (membership.isDefault) {
      await tx
        .update(usersTeams)
        .set({ isDefault: false })
        .where(and(eq(usersTeams.userId, membership.userId), eq(usersTeams.isDefault, true)));
    }
    await tx
      .insert(usersTeams)
      .values(membership)
      .onConflictDoUpdate({
        target: [usersTeams.userId, usersTeams.teamId],
        set: { isDefault: membership.isDefault },
      });
  });
}
