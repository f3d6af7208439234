import type { Api } from '@islet/api';
import {
  type AccessToken,
  type ApiKey,
  BASE_TIER,
  createAccessToken,
  createApiKey,
  createJoinToken,
  createTeam,
  type Database,
  findWellKnown,
  formatMask,
  type JoinRole,
  type KeyDefectRow,
  keepKnownBuilds,
  LOCAL_DEV,
  listAccessTokens,
  listApiKeys,
  listKeyDefects,
  listTeams,
  listUserTeams,
  migrationStatus,
  presentUsage,
  type Revoked,
  removeMember,
  revokeAccessToken,
  revokeApiKey,
  setProjectLimits,
  type Team,
  type UsageReport,
  usageRange,
  type WellKnown,
} from '@islet/db';
import type { AuditQuery, AuditRecord } from '@islet/sinks';
import { writeJoinToken } from '../cluster/join-token.ts';
import type { NodeClient } from '../roles/node.ts';
import type { FurtherState, FurtherTemplates } from '../up/further-templates.ts';
import { AdministrationError } from './errors.ts';
import type { KeyRotation, RotationRequest, RotationView } from './key-rotation.ts';
import { limitOverrides, limitsView, type TeamLimitsChange, type TeamLimitsView } from './team-limits.ts';
import { type WebhookAdministration, webhookAdministration } from './webhooks.ts';

/** A key as an operator sees it. */
export interface KeyView {
  id: string;
  name: string;
  /** `e2b_53...dd90`. */
  mask: string;
  team: string;
  teamId: string;
  /** ISO 8601. */
  createdAt: string;
  lastUsed: string | null;
}

export interface NewKeyView extends KeyView {
  /** Shown this once. */
  key: string;
}

export interface RevokedKeyView extends KeyView {
  /** With the well-known key goes the well-known access token. */
  alsoRevoked: 'access-token' | null;
}

/** An access token as an operator sees it. */
export interface TokenView {
  id: string;
  name: string;
  /** `sk_e2b_89...7715`. */
  mask: string;
  userId: string;
  /** ISO 8601. */
  createdAt: string;
}

export interface NewTokenView extends TokenView {
  /** Shown this once. */
  token: string;
}

export interface DatabaseReport {
  kind: Database['kind'];
  location: string;
  applied: string[];
  pending: string[];
  /** Rows of stored keys that can never match; empty if the schema is not there yet. */
  defects: KeyDefectRow[];
  /** Which credentials that everybody knows are good; an older Islet that runs does not say. */
  wellKnown?: WellKnown;
}

/** A team with the limits in force for it. */
export interface TeamView {
  id: string;
  slug: string;
  name: string;
  tier: string;
  limits: TeamLimitsView;
}

/** A build's snapshot on this machine: of a template, or of a sandbox. */
export interface SnapshotView {
  buildId: string;
  templateId: string;
  /** Of a sandbox's snapshot: the build that the sandbox was started from. */
  parentBuildId: string | null;
  bytes: number;
  /** ISO 8601. */
  createdAt: string;
  /** False where no template that exists has it: `gc` removes it. */
  inUse: boolean;
}

/** What lets one machine join a cluster. */
export interface JoinTokenView {
  id: string;
  /** Shown this once. */
  token: string;
  role: JoinRole;
  /** Where the machine will ask for the API. */
  api: string;
  /** Fingerprint of the cluster's authority. */
  authority: string;
  /** ISO 8601. */
  expiresAt: string;
}

/** Which usage is asked for. */
export interface UsageRequest {
  team?: string | undefined;
  start?: string | undefined;
  end?: string | undefined;
}

/** What one team used. */
export interface TeamUsageView extends UsageReport {
  team: string;
  teamId: string;
}

/** What an operator does to an installation besides running sandboxes. */
export interface Administration extends WebhookAdministration {
  /** `team` is a team's id or slug; the local-dev team if it is absent. */
  createKey(request: { name: string; team?: string | undefined }): Promise<NewKeyView>;
  listKeys(request: { team?: string | undefined }): Promise<KeyView[]>;
  /** `selector` is an id, a key, a mask or the start of a key that names exactly one. */
  revokeKey(request: { selector: string }): Promise<RevokedKeyView>;
  /** Of the local-dev user. */
  createToken(request: { name: string }): Promise<NewTokenView>;
  listTokens(request: object): Promise<TokenView[]>;
  /** `selector` as of keys. */
  revokeToken(request: { selector: string }): Promise<TokenView>;
  /** `lifeMs`: how long it may be used. */
  createJoinToken(request: { role: JoinRole; lifeMs: number }): Promise<JoinTokenView>;
  /** Takes somebody out of the cluster. */
  removeMember(request: { role: 'edge' | 'node'; name: string }): Promise<{ name: string }>;
  createTeam(request: { name: string }): Promise<TeamView>;
  listTeams(request: object): Promise<TeamView[]>;
  /** Sets limits of one team, whatever its tier says. */
  limitTeam(request: { team: string; limits: TeamLimitsChange }): Promise<TeamView>;
  databaseReport(request: object): Promise<DatabaseReport>;
  /** What was done, by whom. `team` is an id or a slug. */
  listAudit(request: Omit<AuditQuery, 'teamId'> & { team?: string | undefined }): Promise<AuditRecord[]>;
  /** What a team used, by day; of all teams if none is named. Days as `2026-12-01`, both included. */
  listUsage(request: UsageRequest): Promise<TeamUsageView[]>;
  /** Has all secrets encrypted under another master key; or only readies one. */
  rotateMasterKey(request: RotationRequest): Promise<RotationView>;
  /** Newest first. */
  listSnapshots(request: object): Promise<SnapshotView[]>;
  /** Removes the snapshots that no template has, and says which. */
  collectSnapshots(request: object): Promise<SnapshotView[]>;
  /** Begins to build a template that ships with Islet, by its folder or its name, if it is not there and nobody has. */
  buildShipped(request: { template: string }): Promise<FurtherState>;
  /** How far such a build is. */
  readShipped(request: { template: string }): Promise<FurtherState>;
}

export { AdministrationError };

/** Where machines join a cluster, and how they know that it is the one. */
export interface ClusterPlace {
  /** `host:port` */
  api: string;
  /** Of the cluster's authority. */
  fingerprint: string;
  /** The members are others than before. */
  membersChanged(): Promise<void>;
}

/** The services that run on the database; commands beside a stopped Islet have none. */
export interface RunningServices {
  nodes(): readonly NodeClient[];
  /** Undefined if it is open to no other machine. */
  cluster(): ClusterPlace | undefined;
  /** Has them refuse what was revoked from the next request on. */
  forget(revoked: Revoked): void;
  further: FurtherTemplates;
  audit: Api['audit'];
  metering: Api['metering'];
  dispatcher: Api['dispatcher'];
  rotation: KeyRotation;
}

/** Administration straight on the database; what needs the machine's snapshots is refused if nothing runs. */
export function administrationOf(db: Database, running?: RunningServices): Administration {
  const teamNamed = async (text: string) => {
    const teams = await listTeams(db);
    const team = teams.find((candidate) => candidate.id === text || candidate.slug === text);
    if (team) return team;
    const known = teams.map((candidate) => candidate.slug).join(', ');
    throw new AdministrationError(
      `there is no team "${text}"; there ${known ? `are: ${known}` : 'is none: run `islet db seed`'}`,
    );
  };
  const slugs = async () => new Map((await listTeams(db)).map((team) => [team.id, team.slug]));
  const views = async (keys: ApiKey[]): Promise<KeyView[]> => {
    const known = await slugs();
    return keys.map((key) => toView(key, known.get(key.teamId) ?? key.teamId));
  };

  const runningServices = () => {
    if (running) return running;
    throw new AdministrationError(
      'Islet does not run on this data directory: start it with `islet up` first',
    );
  };
  const shippedNamed = (template: string) => {
    const { further } = runningServices();
    const found = further.find(template);
    if (found) return { further, found };
    throw new AdministrationError(
      `no template "${template}" comes with Islet; there are: ${further.folders.join(', ')}. A Dockerfile needs --name`,
    );
  };
  const snapshots = async (): Promise<SnapshotView[]> => {
    // The nodes first: a snapshot that begins in between is in the database before it is on a node.
    const listed = await Promise.all(
      runningServices()
        .nodes()
        .map((node) => node.listBuilds({})),
    );
    // Several nodes may have the same.
    const builds = [
      ...new Map(listed.flatMap(({ builds }) => builds).map((build) => [build.buildId, build])).values(),
    ];
    const known = await keepKnownBuilds(
      db,
      builds.map(({ buildId }) => buildId),
    );
    return builds
      .sort((a, b) => b.createdAtMs - a.createdAtMs)
      .map((build) => ({
        buildId: build.buildId,
        templateId: build.templateId,
        parentBuildId: build.parentBuildId ?? null,
        bytes: build.snapshotBytes,
        createdAt: new Date(build.createdAtMs).toISOString(),
        inUse: known.has(build.buildId),
      }));
  };

  return {
    ...webhookAdministration(db, { named: teamNamed, slugs }, () => running?.dispatcher.wake()),
    async listAudit({ team, ...query }) {
      const teamId = team === undefined ? undefined : (await teamNamed(team)).id;
      return runningServices().audit.query({ ...query, teamId });
    },
    async listUsage({ team, start, end }) {
      const range = usageRange({ start, end }, Date.now());
      if (typeof range === 'string') throw new AdministrationError(range);
      const { metering } = runningServices();
      const teams = team === undefined ? await listTeams(db) : [await teamNamed(team)];
      return Promise.all(
        teams.map(async ({ id, slug }) => ({
          ...{ team: slug, teamId: id },
          ...presentUsage(await metering.read(id, range.from, range.to)),
        })),
      );
    },
    rotateMasterKey: (request) => runningServices().rotation.run(request),
    listSnapshots: snapshots,
    async collectSnapshots() {
      const unused = (await snapshots()).filter(({ inUse }) => !inUse);
      for (const { buildId } of unused) {
        await Promise.all(
          runningServices()
            .nodes()
            .map((node) => node.deleteBuild({ buildId })),
        );
      }
      return unused;
    },
    async buildShipped({ template }) {
      const { further, found } = shippedNamed(template);
      return further.build(found);
    },
    async readShipped({ template }) {
      const { further, found } = shippedNamed(template);
      return further.read(found);
    },
    async createKey({ name, team }) {
      const owner = await teamNamed(team ?? LOCAL_DEV.teamId);
      const created = await createApiKey(db, { teamId: owner.id, name });
      return { ...toView(created, owner.slug), key: created.key };
    },
    async listKeys({ team }) {
      return views(await listApiKeys(db, team === undefined ? undefined : (await teamNamed(team)).id));
    },
    async revokeKey({ selector }) {
      const result = await revokeApiKey(db, selector);
      if (result.outcome === 'not-found') {
        throw new AdministrationError(`no key is named by "${selector}"; see \`islet keys list\``);
      }
      if (result.outcome === 'ambiguous') throw severalNamed('keys', selector, result.keys);
      running?.forget(result.revoked);
      const [view] = await views([result.key]);
      const withToken = result.revoked.accessTokens.length > 0;
      return { ...(view as KeyView), alsoRevoked: withToken ? 'access-token' : null };
    },
    async createToken({ name }) {
      const [owner] = await listUserTeams(db, LOCAL_DEV.userId);
      if (!owner) throw new AdministrationError('there is no local user yet: run `islet db seed`');
      const created = await createAccessToken(db, { userId: LOCAL_DEV.userId, name });
      return { ...toTokenView(created), token: created.token };
    },
    async listTokens() {
      return (await listAccessTokens(db)).map(toTokenView);
    },
    async revokeToken({ selector }) {
      const result = await revokeAccessToken(db, selector);
      if (result.outcome === 'not-found') {
        throw new AdministrationError(`no token is named by "${selector}"; see \`islet tokens list\``);
      }
      if (result.outcome === 'ambiguous') throw severalNamed('tokens', selector, result.keys);
      running?.forget(result.revoked);
      return toTokenView(result.token);
    },
    async createJoinToken({ role, lifeMs }) {
      const cluster = runningServices().cluster();
      if (!cluster) {
        throw new AdministrationError(
          'this Islet is open to no other machine: start its API with --advertise <address of this machine>',
        );
      }
      if (role === 'api' && db.kind === 'pglite') {
        throw new AdministrationError(
          'another API needs the database of this one, which is embedded and of one process: move to PostgreSQL first (islet migrate)',
        );
      }
      const now = new Date();
      const expiresAt = new Date(now.getTime() + lifeMs);
      const { id, secret } = await createJoinToken(db, { role, now, expiresAt });
      const { api, fingerprint: authority } = cluster;
      return {
        ...{ id, role, api, authority, expiresAt: expiresAt.toISOString() },
        token: writeJoinToken({ role, api, authority, secret }),
      };
    },
    async removeMember({ role, name }) {
      if (!(await removeMember(db, role, name))) {
        throw new AdministrationError(
          role === 'node'
            ? `no node has joined as ${name}: those of a list are removed from the list`
            : `no edge has joined as ${name}`,
        );
      }
      await runningServices().cluster()?.membersChanged();
      return { name };
    },
    async createTeam({ name }) {
      const { id } = await createTeam(db, { name, email: '', tier: BASE_TIER.id });
      return toTeamView(await teamNamed(id));
    },
    async listTeams() {
      return (await listTeams(db)).map(toTeamView);
    },
    async limitTeam({ team, limits }) {
      const { id } = await teamNamed(team);
      await setProjectLimits(db, id, limitOverrides(limits));
      return toTeamView(await teamNamed(id));
    },
    async databaseReport() {
      const { applied, pending } = await migrationStatus(db);
      // Before the first migration there is no table to look into.
      if (applied.length === 0)
        return { kind: db.kind, location: db.location, applied, pending, defects: [] };
      const [defects, wellKnown] = await Promise.all([listKeyDefects(db), findWellKnown(db)]);
      return { kind: db.kind, location: db.location, applied, pending, defects, wellKnown };
    },
  };
}

function severalNamed(
  what: 'keys' | 'tokens',
  selector: string,
  named: { id: string; name: string }[],
): AdministrationError {
  const ids = named.map(({ id, name }) => `${id} (${name})`).join(', ');
  return new AdministrationError(`"${selector}" names several ${what}; say which by its id: ${ids}`);
}

function toTokenView({ id, name, mask, userId, createdAt }: AccessToken): TokenView {
  return { id, name, mask: formatMask(mask), userId, createdAt: createdAt.toISOString() };
}

function toTeamView(team: Team): TeamView {
  const { id, slug, name, tier } = team;
  return { id, slug, name, tier, limits: limitsView(team) };
}

function toView(key: ApiKey, team: string): KeyView {
  return {
    id: key.id,
    name: key.name,
    mask: formatMask(key.mask),
    team,
    teamId: key.teamId,
    createdAt: key.createdAt.toISOString(),
    lastUsed: key.lastUsed?.toISOString() ?? null,
  };
}
