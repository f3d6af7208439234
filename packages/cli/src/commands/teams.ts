import { defineCommand } from 'citty';
import type { TeamLimitsChange, TeamView } from '../control/administration.ts';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import type { OptionName } from '../options/options.ts';
import { OptionError } from '../options/spec.ts';
import type { CommandIo } from './io.ts';
import { withInstallation } from './keys.ts';
import { table } from './table.ts';

const WHERE: OptionName[] = ['dataDir', 'databaseUrl'];
const JSON_ARG = { type: 'boolean', description: 'Print JSON' } as const;

/** Bounds of what a team may be given: the protocol's own clamps for a sandbox, and what fits a database integer. */
const BOUNDS = {
  sandboxes: 1_000_000,
  hours: 8_784,
  vcpu: 32,
  'memory-mb': 1_048_576,
  'disk-mb': 1_048_576,
} as const;

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
    sandboxes: { type: 'string', valueHint: 'n', description: 'Sandboxes running at once' },
    hours: { type: 'string', valueHint: 'n', description: 'Hours that one sandbox may live' },
    vcpu: { type: 'string', valueHint: 'n', description: 'CPUs of one sandbox' },
    'memory-mb': { type: 'string', valueHint: 'n', description: 'Memory of one sandbox, MiB' },
    'disk-mb': { type: 'string', valueHint: 'n', description: 'Disk of one template, MiB' },
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
      const limits: TeamLimitsChange = {
        sandboxes: readLimit('sandboxes', args.sandboxes),
        hours: readLimit('hours', args.hours),
        vcpu: readLimit('vcpu', args.vcpu),
        memoryMb: readLimit('memory-mb', args['memory-mb']),
        diskMb: readLimit('disk-mb', args['disk-mb']),
      };
      const team = await withInstallation(io, args, (admin) => admin.limitTeam({ team: args.team, limits }));
      io.print(args.json ? JSON.stringify(team) : teamTable([team]));
    },
  });

  return defineCommand({
    meta: { name: 'teams', description: 'Create and list teams, and set their limits' },
    subCommands: { create, list, limit },
  });
}

function readLimit(name: keyof typeof BOUNDS, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > BOUNDS[name]) {
    throw new OptionError(`--${name} takes a whole number from 1 to ${BOUNDS[name]}, not "${text}"`);
  }
  return value;
}

function teamTable(teams: TeamView[]): string {
  const rows = teams.map(({ id, slug, name, tier, limits }) => [
    id,
    slug,
    name,
    tier,
    String(limits.sandboxes),
    String(limits.hours),
    String(limits.vcpu),
    String(limits.memoryMb),
    String(limits.diskMb),
  ]);
  return table(['ID', 'SLUG', 'NAME', 'TIER', 'SANDBOXES', 'HOURS', 'VCPU', 'MEMORY MIB', 'DISK MIB'], rows);
}
