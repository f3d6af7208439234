import { defineCommand } from 'citty';
import type { TeamView } from '../control/administration.ts';
import type { TeamLimitsChange } from '../control/team-limits.ts';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import type { OptionName } from '../options/options.ts';
import { OptionError } from '../options/spec.ts';
import type { CommandIo } from './io.ts';
import { withInstallation } from './keys.ts';
import { table } from './table.ts';

const WHERE: OptionName[] = ['dataDir', 'databaseUrl'];
const JSON_ARG = { type: 'boolean', description: 'Print JSON' } as const;

interface Limit {
  flag: string;
  limit: keyof TeamLimitsChange;
  description: string;
  /** Smallest and largest value. */
  bounds: readonly [number, number];
  /** Its column in the list. */
  title: string;
}

/** More pieces of anything than a machine has room for, and still a number that a database column takes. */
const PIECES = [0, 1_000_000] as const;
/** Up to a pebibyte. */
const MEBIBYTES = [0, 1_073_741_824] as const;

/** What one sandbox may have, within the protocol's own clamps. */
const SANDBOX_LIMITS: readonly Limit[] = [
  {
    flag: 'sandboxes',
    limit: 'sandboxes',
    description: 'Sandboxes running at once',
    bounds: [1, 1_000_000],
    title: 'SANDBOXES',
  },
  {
    flag: 'hours',
    limit: 'hours',
    description: 'Hours that one sandbox may live',
    bounds: [1, 8_784],
    title: 'HOURS',
  },
  { flag: 'vcpu', limit: 'vcpu', description: 'CPUs of one sandbox', bounds: [1, 32], title: 'VCPU' },
  {
    flag: 'memory-mb',
    limit: 'memoryMb',
    description: 'Memory of one sandbox, MiB',
    bounds: [1, 1_048_576],
    title: 'MEMORY MIB',
  },
  {
    flag: 'disk-mb',
    limit: 'diskMb',
    description: 'Disk of one template, MiB',
    bounds: [1, 1_048_576],
    title: 'DISK MIB',
  },
];

/** What a team may keep. */
const QUOTAS: readonly Limit[] = [
  {
    flag: 'paused',
    limit: 'paused',
    description: 'Sandboxes paused, or to be paused at their end',
    bounds: PIECES,
    title: 'PAUSED',
  },
  {
    flag: 'paused-mb',
    limit: 'pausedMb',
    description: 'Saved states of paused sandboxes, MiB',
    bounds: MEBIBYTES,
    title: 'PAUSED MIB',
  },
  {
    flag: 'snapshots',
    limit: 'snapshots',
    description: 'Snapshots of sandboxes',
    bounds: PIECES,
    title: 'SNAPSHOTS',
  },
  {
    flag: 'snapshots-mb',
    limit: 'snapshotsMb',
    description: 'Snapshots of sandboxes, MiB',
    bounds: MEBIBYTES,
    title: 'SNAPSHOTS MIB',
  },
  { flag: 'templates', limit: 'templates', description: 'Templates', bounds: PIECES, title: 'TEMPLATES' },
  {
    flag: 'uploads-mb',
    limit: 'uploadsMb',
    description: 'Files uploaded for COPY steps, MiB',
    bounds: MEBIBYTES,
    title: 'UPLOADS MIB',
  },
  { flag: 'volumes', limit: 'volumes', description: 'Volumes', bounds: PIECES, title: 'VOLUMES' },
  {
    flag: 'volumes-mb',
    limit: 'volumesMb',
    description: 'What all volumes may hold, MiB',
    bounds: MEBIBYTES,
    title: 'VOLUMES MIB',
  },
  { flag: 'keys', limit: 'keys', description: 'API keys', bounds: [1, 1_000_000], title: 'KEYS' },
];

const LIMITS = [...SANDBOX_LIMITS, ...QUOTAS];

const limitFlags = Object.fromEntries(
  LIMITS.map(({ flag, description }) => [flag, { type: 'string', valueHint: 'n', description } as const]),
);

/** `islet teams …`. */
export function teamsCommand(io: CommandIo) {
  const createArgs = {
    name: { type: 'string', valueHint: 'name', description: 'What the team is called', required: true },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const create = defineCommand({
    meta: { name: 'create', description: 'Make a team; give it a key with `islet keys create --team`' },
    args: createArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, createArgs);
      const team = await withInstallation(io, args, (admin) => admin.createTeam({ name: args.name }));
      io.print(args.json ? JSON.stringify(team) : teamTable([team]));
    },
  });

  const listArgs = { json: JSON_ARG, ...optionArgs(WHERE) } as const;
  const list = defineCommand({
    meta: { name: 'list', description: 'List teams with the limits in force for each' },
    args: listArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, listArgs);
      const teams = await withInstallation(io, args, (admin) => admin.listTeams({}));
      io.print(args.json ? JSON.stringify(teams) : teamTable(teams));
    },
  });

  const limitArgs = {
    team: { type: 'positional', description: "The team's id or slug", required: true },
    ...limitFlags,
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const limit = defineCommand({
    meta: {
      name: 'limit',
      description: 'Set limits of one team, whatever its tier says; in force within seconds',
    },
    args: limitArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, limitArgs);
      const given = args as Record<string, unknown>;
      const limits: TeamLimitsChange = Object.fromEntries(
        LIMITS.map((each) => [each.limit, readLimit(each, given[each.flag])]),
      );
      const team = await withInstallation(io, args, (admin) => admin.limitTeam({ team: args.team, limits }));
      io.print(args.json ? JSON.stringify(team) : teamTable([team]));
    },
  });

  return defineCommand({
    meta: { name: 'teams', description: 'Create and list teams, and set their limits' },
    subCommands: { create, list, limit },
  });
}

function readLimit({ flag, bounds: [least, most] }: Limit, text: unknown): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(String(text)) || value < least || value > most) {
    throw new OptionError(`--${flag} takes a whole number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}

function teamTable(teams: TeamView[]): string {
  const columns = (of: readonly Limit[], limits: TeamView['limits']) =>
    of.map(({ limit }) => String(limits[limit]));
  const titles = (of: readonly Limit[]) => of.map(({ title }) => title);
  const sandboxes = table(
    ['ID', 'SLUG', 'NAME', 'TIER', ...titles(SANDBOX_LIMITS)],
    teams.map(({ id, slug, name, tier, limits }) => [
      id,
      slug,
      name,
      tier,
      ...columns(SANDBOX_LIMITS, limits),
    ]),
  );
  const kept = table(
    ['MAY KEEP', ...titles(QUOTAS)],
    teams.map(({ slug, limits }) => [slug, ...columns(QUOTAS, limits)]),
  );
  return `${sandboxes}\n\n${kept}`;
}
