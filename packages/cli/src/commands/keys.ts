import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { INSTALLATION_OPTIONS, withInstallation } from './installation.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

/** `islet keys …`. */
export function keysCommand(io: CommandIo): CommandGroup {
  const create = defineCommand(io, {
    summary: 'Make an API key and show it, this once',
    flags: {
      name: { kind: 'text', hint: 'name', description: 'What the key is for', fallback: 'cli' },
      team: { kind: 'text', hint: 'id|slug', description: 'Its team (default local-dev-team)' },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const key = await withInstallation(io, sources, (admin) =>
        admin.createKey({ name: flags.name, team: flags.team }),
      );
      if (flags.json) return io.print(JSON.stringify(key));
      io.print(`${key.key}\n\nThis is the only time it is shown. Team ${key.team}, name "${key.name}".`);
    },
  });

  const list = defineCommand(io, {
    summary: 'List API keys, newest first',
    flags: {
      team: { kind: 'text', hint: 'id|slug', description: 'Only this team’s keys' },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const keys = await withInstallation(io, sources, (admin) => admin.listKeys({ team: flags.team }));
      if (flags.json) return io.print(JSON.stringify(keys));
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

  const revoke = defineCommand(io, {
    summary: 'Take a key back; it stops working within seconds',
    words: { key: 'The key, its id, its mask or its beginning' },
    flags: { json: JSON_FLAG },
    options: INSTALLATION_OPTIONS,
    async run({ words, flags, sources }) {
      const key = await withInstallation(io, sources, (admin) => admin.revokeKey({ selector: words.key }));
      if (flags.json) return io.print(JSON.stringify(key));
      io.print(`Revoked ${key.mask} ("${key.name}", team ${key.team}).`);
      if (key.alsoRevoked === null) return;
      io.print(
        'The access token that everybody knows went with it: it could make new keys. What was made with it goes on' +
          ' working: see `islet keys list` and `islet tokens list`.',
      );
    },
  });

  return { summary: 'Create, list and revoke API keys', commands: { create, list, revoke } };
}
