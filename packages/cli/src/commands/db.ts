import { migrateClickHouse } from '@islet/analytics';
import { type Database, LOCAL_DEV, LOCAL_TEAM_LIMITS, migrate, seed } from '@islet/db';
import { type Command, type CommandGroup, defineCommand } from '../command-line/command.ts';
import { leaveRecord } from '../control/audit.ts';
import { openInstallation } from '../control/open.ts';
import { credentialFile, makeLocalCredentials } from '../host/local-credentials.ts';
import { OPTIONS } from '../options/options.ts';
import { type OptionSources, readOption, requireOption } from '../options/spec.ts';
import { INSTALLATION_OPTIONS } from './installation.ts';
import type { CommandIo } from './io.ts';

/** Changes a database and says what came of it. */
type Change = (db: Database, dataDir: string) => Promise<string>;

/** `islet db …`. */
export function dbCommand(io: CommandIo): CommandGroup {
  const change = (name: string, summary: string, run: Change): Command =>
    defineCommand(io, {
      summary,
      options: INSTALLATION_OPTIONS,
      async run({ sources }) {
        io.print(await withDatabase(io, sources, name, run));
      },
    });
  return {
    summary: 'Migrate and seed the database',
    commands: {
      migrate: defineCommand(io, {
        summary: 'Bring the schema up to date, also of ClickHouse if there is one',
        options: [...INSTALLATION_OPTIONS, 'clickhouseUrl'],
        async run({ sources }) {
          io.print(
            await withDatabase(io, sources, 'migrate', async (db) => toldOf('schema', await migrate(db))),
          );
          const server = readOption(OPTIONS.clickhouseUrl, sources);
          if (server) io.print(toldOf('schema in ClickHouse', await migrateClickHouse(server)));
        },
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
  };
}

function toldOf(what: string, applied: readonly string[]): string {
  return applied.length > 0 ? `Applied ${applied.join(', ')}.` : `The ${what} is up to date.`;
}

async function withDatabase(
  io: CommandIo,
  sources: OptionSources,
  name: string,
  use: Change,
): Promise<string> {
  const dataDir = requireOption(OPTIONS.dataDir, sources);
  await using installation = await openInstallation({
    dataDir,
    databaseUrl: readOption(OPTIONS.databaseUrl, sources),
    migrationsDir: io.layout().migrationsDir,
  });
  if (!installation.db) {
    return `A running Islet holds ${dataDir}; it migrated and seeded its database when it started.`;
  }
  const told = await use(installation.db, dataDir);
  await leaveRecord(installation.db, name, { did: told }, 200);
  return told;
}
