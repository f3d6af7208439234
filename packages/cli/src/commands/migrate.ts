import { openDatabase } from '@islet/db';
import { type Command, defineCommand } from '../command-line/command.ts';
import { type Migration, migrateInstallation, planMigration } from '../migrate/migrate.ts';
import { openSource } from '../migrate/source.ts';
import { OPTIONS } from '../options/options.ts';
import { OptionError, type OptionSources, parseText, readOption, requireOption } from '../options/spec.ts';
import { openStore } from '../store/open.ts';
import { nameOfStore, readStore, STORE_OPTIONS } from '../store/settings.ts';
import type { CommandIo } from './io.ts';
import { reporterOf } from './serve.ts';

/** `islet migrate`. */
export function migrateCommand(io: CommandIo): Command {
  return defineCommand(io, {
    summary:
      'Move a stopped Islet of one machine to PostgreSQL and a store, from which several machines go on',
    flags: {
      to: {
        kind: 'text',
        hint: 'url',
        description:
          'postgres:// address of an empty database (default that of DATABASE_URL, which no list of processes shows)',
      },
      'dry-run': { kind: 'switch', description: 'Only tell what would be moved, and what stays' },
      'leave-damaged': {
        kind: 'switch',
        description: 'Move the rest if there are saved states that are damaged, in place of nothing',
      },
      json: { kind: 'switch', description: 'Print one JSON object a line' },
    },
    options: ['dataDir', ...STORE_OPTIONS],
    async run({ flags, sources }) {
      const url = readTarget(flags.to, sources);
      const store = readStore(sources);
      const reporter = reporterOf(io, flags.json);
      const layout = io.layout();
      await using source = await openSource(requireOption(OPTIONS.dataDir, sources), layout);
      const target = await openDatabase({ url, migrationsDir: layout.migrationsDir });
      try {
        const isDry = flags['dry-run'];
        const migration = isDry
          ? await planMigration({ source, target })
          : await migrateInstallation({
              ...{ source, target, reporter, signal: io.interrupted },
              openStore: store && (() => openStore(store)),
              leaveDamaged: flags['leave-damaged'],
            });
        if (flags.json) io.print(jsonOf(migration, isDry));
        else
          for (const line of linesOf(migration, {
            isDry,
            store: store && nameOfStore(store),
            dataDir: source.dataDir,
          }))
            io.print(line);
      } finally {
        await target.close();
      }
    },
  });
}

function readTarget(flag: string | undefined, sources: OptionSources): string {
  if (flag !== undefined) return parseText(OPTIONS.databaseUrl, flag, '--to');
  const url = readOption(OPTIONS.databaseUrl, { flags: {}, env: sources.env });
  if (url === undefined) throw new OptionError('--to (or DATABASE_URL) is needed: the database to move to');
  return url;
}

function jsonOf({ tables, states, damaged, staying }: Migration, isDry: boolean): string {
  return JSON.stringify({
    event: isDry ? 'would-migrate' : 'migrated',
    tables,
    states: states.map(({ kind, id, state, bytes }) => ({ kind, id, state, bytes })),
    damaged,
    staying,
  });
}

interface Told {
  isDry: boolean;
  store: string | undefined;
  dataDir: string;
}

function linesOf({ tables, states, damaged, staying }: Migration, { isDry, store, dataDir }: Told): string[] {
  const rows = tables.filter((table) => table.rows > 0).map((table) => `  ${table.table}: ${table.rows}`);
  const count = (kind: 'build' | 'sandbox') => states.filter((state) => state.kind === kind).length;
  const mib = (states.reduce((sum, { bytes }) => sum + bytes, 0) / 1024 / 1024).toFixed(1);
  const moved = isDry ? 'would go' : 'went';
  const stays = [
    ...damaged.map(({ record, reason }) => `  ${record}, which is damaged: ${reason}`),
    ...staying.withVolumes.map((id) => `  sandbox ${id}, which mounts volumes of this machine`),
    ...staying.running.map((id) => `  sandbox ${id}, which still runs`),
  ];
  return [
    `Rows that ${moved} to the database:`,
    ...rows,
    store === undefined
      ? 'No --store: saved states stay where they are.'
      : `Saved states that ${moved} to ${store}: ${count('build')} builds, ${count('sandbox')} paused sandboxes, ${mib} MiB.`,
    ...(stays.length > 0 ? ['What stays on this machine:', ...stays] : []),
    ...(isDry
      ? []
      : [`${dataDir} is as it was. Do not start it without DATABASE_URL any more: see docs/cluster.md`]),
  ];
}
