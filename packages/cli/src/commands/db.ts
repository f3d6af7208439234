import { type Database, LOCAL_DEV, LOCAL_TEAM_LIMITS, migrate, seed } from '@islet/db';
import { defineCommand } from 'citty';
import { openInstallation } from '../control/open.ts';
import { credentialFile, makeLocalCredentials } from '../host/local-credentials.ts';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import { OPTIONS, type OptionName } from '../options/options.ts';
import { type OptionSources, readOption, requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';

/** Changes a database and says what came of it. */
type Change = (db: Database, dataDir: string) => Promise<string>;

const WHERE: OptionName[] = ['dataDir', 'databaseUrl'];

/** `islet db …`. */
export function dbCommand(io: CommandIo) {
  const args = optionArgs(WHERE);
  const change = (name: string, description: string, run: Change) =>
    defineCommand({
      meta: { name, description },
      args,
      async run(context) {
        refuseUnknownFlags(context.rawArgs, args);
        io.print(await withDatabase(io, context.args, run));
      },
    });
  return defineCommand({
    meta: { name: 'db', description: 'Migrate and seed the database' },
    subCommands: {
      migrate: change('migrate', 'Bring the schema up to date', async (db) => {
        const done = await migrate(db);
        return done.length > 0 ? `Applied ${done.join(', ')}.` : 'The schema is up to date.';
      }),
      seed: change(
        'seed',
        'Put in the base tier, and the local-dev user and team with a key',
        async (db, dataDir) => {
          await migrate(db);
          const { isNew } = await seed(db, {
            limits: LOCAL_TEAM_LIMITS,
            credentials: () => makeLocalCredentials(dataDir),
          });
          if (!isNew) return `Team ${LOCAL_DEV.teamSlug} is there already.`;
          return `Seeded team ${LOCAL_DEV.teamSlug}; its API key is in ${credentialFile(dataDir, 'apiKey')}`;
        },
      ),
    },
  });
}

async function withDatabase(io: CommandIo, flags: OptionSources['flags'], use: Change): Promise<string> {
  const sources = { flags, env: io.env };
  const dataDir = requireOption(OPTIONS.dataDir, sources);
  await using installation = await openInstallation({
    dataDir,
    databaseUrl: readOption(OPTIONS.databaseUrl, sources),
    migrationsDir: io.layout().migrationsDir,
  });
  if (!installation.db) {
    return `A running Islet holds ${dataDir}; it migrated and seeded its database when it started.`;
  }
  return await use(installation.db, dataDir);
}
