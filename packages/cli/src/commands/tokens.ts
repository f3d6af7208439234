import { defineCommand } from 'citty';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import type { OptionName } from '../options/options.ts';
import type { CommandIo } from './io.ts';
import { withInstallation } from './keys.ts';
import { table } from './table.ts';

const WHERE: OptionName[] = ['dataDir', 'databaseUrl'];
const JSON_ARG = { type: 'boolean', description: 'Print JSON' } as const;

/** `islet tokens …`: access tokens, with which a user makes and revokes API keys through the API. */
export function tokensCommand(io: CommandIo) {
  const createArgs = {
    name: { type: 'string', valueHint: 'name', description: 'What the token is for', default: 'cli' },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const create = defineCommand({
    meta: { name: 'create', description: 'Make an access token of the local user and show it, this once' },
    args: createArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, createArgs);
      const token = await withInstallation(io, args, (admin) => admin.createToken({ name: args.name }));
      if (args.json) return io.print(JSON.stringify(token));
      io.print(`${token.token}\n\nThis is the only time it is shown. Its name is "${token.name}".`);
    },
  });

  const listArgs = { json: JSON_ARG, ...optionArgs(WHERE) } as const;
  const list = defineCommand({
    meta: { name: 'list', description: 'List access tokens, newest first' },
    args: listArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, listArgs);
      const tokens = await withInstallation(io, args, (admin) => admin.listTokens({}));
      if (args.json) return io.print(JSON.stringify(tokens));
      if (tokens.length === 0)
        return io.print('There are no access tokens. Make one with `islet tokens create`.');
      const rows = tokens.map(({ id, mask, name, userId, createdAt }) => [id, mask, name, userId, createdAt]);
      io.print(table(['ID', 'TOKEN', 'NAME', 'USER', 'CREATED'], rows));
    },
  });

  const revokeArgs = {
    token: {
      type: 'positional',
      description: 'The token, its id, its mask or its beginning',
      required: true,
    },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const revoke = defineCommand({
    meta: { name: 'revoke', description: 'Take a token back; the keys made with it go on working' },
    args: revokeArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, revokeArgs);
      const token = await withInstallation(io, args, (admin) => admin.revokeToken({ selector: args.token }));
      io.print(
        args.json
          ? JSON.stringify(token)
          : `Revoked ${token.mask} ("${token.name}"). Keys made with it go on working: see \`islet keys list\`.`,
      );
    },
  });

  return defineCommand({
    meta: { name: 'tokens', description: 'Create, list and revoke access tokens' },
    subCommands: { create, list, revoke },
  });
}
