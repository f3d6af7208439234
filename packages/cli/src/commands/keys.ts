import { defineCommand } from 'citty';
import type { Administration } from '../control/administration.ts';
import { openInstallation } from '../control/open.ts';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import { OPTIONS, type OptionName } from '../options/options.ts';
import { type OptionSources, readOption, requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

const WHERE: OptionName[] = ['dataDir', 'databaseUrl'];
const JSON_ARG = { type: 'boolean', description: 'Print JSON' } as const;

/** Opens the installation that the options name for the time of one call. */
export async function withInstallation<T>(
  io: CommandIo,
  flags: OptionSources['flags'],
  use: (administration: Administration) => Promise<T>,
): Promise<T> {
  const sources = { flags, env: io.env };
  await using installation = await openInstallation({
    dataDir: requireOption(OPTIONS.dataDir, sources),
    databaseUrl: readOption(OPTIONS.databaseUrl, sources),
    migrationsDir: io.layout().migrationsDir,
  });
  return await use(installation.administration);
}

/** `islet keys …`. */
export function keysCommand(io: CommandIo) {
  const createArgs = {
    name: { type: 'string', valueHint: 'name', description: 'What the key is for', default: 'cli' },
    team: { type: 'string', valueHint: 'id|slug', description: 'Its team (default local-dev-team)' },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const create = defineCommand({
    meta: { name: 'create', description: 'Make an API key and show it, this once' },
    args: createArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, createArgs);
      const key = await withInstallation(io, args, (admin) =>
        admin.createKey({ name: args.name, team: args.team }),
      );
      if (args.json) return io.print(JSON.stringify(key));
      io.print(`${key.key}\n\nThis is the only time it is shown. Team ${key.team}, name "${key.name}".`);
    },
  });

  const listArgs = {
    team: { type: 'string', valueHint: 'id|slug', description: 'Only this team’s keys' },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const list = defineCommand({
    meta: { name: 'list', description: 'List API keys, newest first' },
    args: listArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, listArgs);
      const keys = await withInstallation(io, args, (admin) => admin.listKeys({ team: args.team }));
      if (args.json) return io.print(JSON.stringify(keys));
      if (keys.length === 0) return io.print('There are no keys. Make one with `islet keys create`.');
      const rows = keys.map((key) => [
        key.id,
        key.mask,
        key.name,
        key.team,
        key.createdAt,
        key.lastUsed ?? 'never',
      ]);
      io.print(table(['ID', 'KEY', 'NAME', 'TEAM', 'CREATED', 'LAST USED'], rows));
    },
  });

  const revokeArgs = {
    key: { type: 'positional', description: 'The key, its id, its mask or its beginning', required: true },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const revoke = defineCommand({
    meta: { name: 'revoke', description: 'Take a key back; it stops working within seconds' },
    args: revokeArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, revokeArgs);
      const key = await withInstallation(io, args, (admin) => admin.revokeKey({ selector: args.key }));
      if (args.json) return io.print(JSON.stringify(key));
      io.print(`Revoked ${key.mask} ("${key.name}", team ${key.team}).`);
      if (key.alsoRevoked === null) return;
      io.print(
        'The access token that everybody knows went with it: it could make new keys. What was made with it goes on' +
          ' working: see `islet keys list` and `islet tokens list`.',
      );
    },
  });

  return defineCommand({
    meta: { name: 'keys', description: 'Create, list and revoke API keys' },
    subCommands: { create, list, revoke },
  });
}
