import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { INSTALLATION_OPTIONS, withInstallation } from './installation.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

/** `islet tokens …`: access tokens, with which a user makes and revokes API keys through the API. */
export function tokensCommand(io: CommandIo): CommandGroup {
  const create = defineCommand(io, {
    summary: 'Make an access token of the local user and show it, this once',
    flags: {
      name: { kind: 'text', hint: 'name', description: 'What the token is for', fallback: 'cli' },
      json: JSON_FLAG,
    },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const token = await withInstallation(io, sources, (admin) => admin.createToken({ name: flags.name }));
      if (flags.json) return io.print(JSON.stringify(token));
      io.print(`${token.token}\n\nThis is the only time it is shown. Its name is "${token.name}".`);
    },
  });

  const list = defineCommand(io, {
    summary: 'List access tokens, newest first',
    flags: { json: JSON_FLAG },
    options: INSTALLATION_OPTIONS,
    async run({ flags, sources }) {
      const tokens = await withInstallation(io, sources, (admin) => admin.listTokens({}));
      if (flags.json) return io.print(JSON.stringify(tokens));
      if (tokens.length === 0)
        return io.print('There are no access tokens. Make one with `islet tokens create`.');
      const rows = tokens.map(({ id, mask, name, userId, createdAt }) => [id, mask, name, userId, createdAt]);
      io.print(table(['ID', 'TOKEN', 'NAME', 'USER', 'CREATED'], rows));
    },
  });

  const revoke = defineCommand(io, {
    summary: 'Take a token back; the keys made with it go on working',
    words: { token: 'The token, its id, its mask or its beginning' },
    flags: { json: JSON_FLAG },
    options: INSTALLATION_OPTIONS,
    async run({ words, flags, sources }) {
      const token = await withInstallation(io, sources, (admin) =>
        admin.revokeToken({ selector: words.token }),
      );
      io.print(
        flags.json
          ? JSON.stringify(token)
          : `Revoked ${token.mask} ("${token.name}"). Keys made with it go on working: see \`islet keys list\`.`,
      );
    },
  });

  return { summary: 'Create, list and revoke access tokens', commands: { create, list, revoke } };
}
