import { parseRateRule, type RateRule } from '@islet/contracts';
import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG, type TextFlag } from '../command-line/flags.ts';
import type { TeamView } from '../control/administration.ts';
import type { TeamLimitsChange } from '../control/team-limits.ts';
import { OptionError } from '../options/spec.ts';
import { INSTALLATION_OPTIONS, withInstallation } from './installation.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

interface Limit {
  flag: string;
  limit: Exclude<keyof TeamLimitsChange, 'rate' | 'keyRate'>;
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
const SANDBOX_LIMITS = [
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
] as const satisfies readonly Limit[];

/** What a team may keep. */
const QUOTAS = [
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
] as const satisfies readonly Limit[];

const LIMITS = [...SANDBOX_LIMITS, ...QUOTAS];

/** What follows the installation's options unless it is set. */
const RATES = [
  {
    flag: 'rate',
    limit: 'rate',
    description: 'Requests to the API, such as 50/s or 50/s:200',
    title: 'REQUESTS',
  },
  { flag: 'key-rate', limit: 'keyRate', description: 'The same of each key', title: 'OF A KEY' },
] as const;

type LimitFlags = Record<(typeof LIMITS | typeof RATES)[number]['flag'], TextFlag>;

const limitFlags = Object.fromEntries([
  ...LIMITS.map(({ flag, description }) => [flag, { kind: 'text', hint: 'n', description }]),
  ...RATES.map(({ flag, description }) => [flag, { kind: 'text', hint: 'rate|none|default', description }]),
]) as LimitFlags;

/** `islet teams …`. */
export function teamsCommand(io: CommandIo): CommandGroup {
  const create = defineCommand(io, {
    summary: 'Make a team; give it a key with `islet keys create --team`',
    flags: {
      name: { kind: 'text', hint: 'name', description: 'What the team is called', isRequired: true },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const team = await withInstallation(io, sources, (admin) => admin.createTeam({ name: flags.name }));
      io.print(flags.json ? JSON.stringify(team) : teamTable([team]));
    },
  });

  const list = defineCommand(io, {
    summary: 'List teams with the limits in force for each',
    flags: { json: JSON_FLAG },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const teams = await withInstallation(io, sources, (admin) => admin.listTeams({}));
      io.print(flags.json ? JSON.stringify(teams) : teamTable(teams));
    },
  });

  const limit = defineCommand(io, {
    summary: 'Set limits of one team, whatever its tier says; in force within seconds',
    words: { team: "The team's id or slug" },
    flags: { ...limitFlags, json: JSON_FLAG },
    options: INSTALLATION_OPTIONS,
    async run({ words, flags, sources }) {
      const limits: TeamLimitsChange = Object.fromEntries([
        ...LIMITS.map((each) => [each.limit, readLimit(each, flags[each.flag])]),
        ...RATES.map(({ flag, limit }) => [limit, readRate(flag, flags[flag])]),
      ]);
      const team = await withInstallation(io, sources, (admin) =>
        admin.limitTeam({ team: words.team, limits }),
      );
      io.print(flags.json ? JSON.stringify(team) : teamTable([team]));
    },
  });

  return { summary: 'Create and list teams, and set their limits', commands: { create, list, limit } };
}

function readLimit({ flag, bounds: [least, most] }: Limit, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new OptionError(`--${flag} takes a whole number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}

function readRate(flag: string, text: string | undefined): RateRule | null | undefined {
  if (text === undefined) return undefined;
  if (text === 'default') return null;
  try {
    return parseRateRule(text);
  } catch (error) {
    throw new OptionError(`--${flag} ${(error as Error).message}, or default, not "${text}"`);
  }
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
  const asked = table(
    ['MAY ASK', ...RATES.map(({ title }) => title)],
    teams.map(({ slug, limits }) => [slug, ...RATES.map(({ limit }) => limits[limit] ?? 'default')]),
  );
  return `${sandboxes}\n\n${asked}\n\n${kept}`;
}
