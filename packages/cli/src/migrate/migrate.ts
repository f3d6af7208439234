import {
  copyContent,
  countRows,
  type Database,
  migrate,
  migrationStatus,
  readContent,
  type TableContent,
} from '@islet/db';
import { DamagedSnapshotError } from '@islet/driver';
import { openHostExec } from '@islet/host';
import { type Resting, RestingSender, type RestingState, readRestingNode } from '@islet/orchestrator';
import { type ObjectStore, SharedStates } from '@islet/snapshots';
import type { Reporter } from '../output/reporter.ts';
import { MigrationRefused, type Source } from './source.ts';

export interface MigrationOptions {
  source: Source;
  /** A database without rows, or one that an earlier migration of the same installation filled. */
  target: Database;
  /** Opens the store, once nothing is in the way. Undefined: saved states stay on the disk of the source's node. */
  openStore: (() => Promise<ObjectStore>) | undefined;
  /** What the source itself cannot start any more is not moved, in place of nothing at all. */
  leaveDamaged: boolean;
  signal: AbortSignal;
  reporter: Reporter;
}

/** What came of a migration, or would come of it. */
export interface Migration {
  tables: TableContent[];
  /** In the store. */
  states: RestingState[];
  /** Left behind. */
  damaged: { record: string; reason: string }[];
  staying: Resting['staying'];
}

/** What a migration would move. Looks at the target, and changes nothing in it. @throws MigrationRefused if it has rows */
export async function planMigration({
  source,
  target,
}: Pick<MigrationOptions, 'source' | 'target'>): Promise<Migration> {
  await assertFree(source.db, target);
  const { states, staying } = await readStates(source);
  return { tables: await readContent(source.db), states, staying, damaged: [] };
}

/**
 * Moves what an installation has to a database and a store: saved states first, each checked when it is there, and the rows that refer
 * to them in one transaction behind that. The source stays as it was. After a kill, what is in the store is not sent again.
 * @throws MigrationRefused, DatabaseError, StoreUnavailableError, the signal's reason
 */
export async function migrateInstallation(options: MigrationOptions): Promise<Migration> {
  const { source, target, openStore, signal, reporter } = options;
  const preparing = reporter.step('schema', `Preparing ${target.location}`);
  await assertFree(source.db, target);
  await migrate(target);
  preparing.done();
  const { states: all, staying } = await readStates(source);
  const { states, damaged } = openStore
    ? await sendAll(all, await openStore(), options)
    : { states: [], damaged: [] };
  const copying = reporter.step('rows', 'Copying the rows of the database');
  const tables = await copyContent(source.db, target, {
    signal,
    onTable: (table, rows) => copying.progress(`${table}: ${rows} rows`),
  });
  copying.done(`${sumOf(tables, 'rows')} rows of ${tables.length} tables are there, and checked`);
  return { tables, states, damaged, staying };
}

/** Before anything is sent: what has other rows is another installation's. */
async function assertFree(source: Database, target: Database): Promise<void> {
  if ((await countRows(target)) === 0) return;
  const isOfThisVersion = (await migrationStatus(target)).pending.length === 0;
  const [here, there] = [await readContent(source), isOfThisVersion ? await readContent(target) : []];
  const others = there.filter(({ rows, digest }, index) => rows > 0 && digest !== here[index]?.digest);
  if (isOfThisVersion && others.length === 0) return;
  const named = others.map(({ table, rows }) => `${table} ${rows}`).join(', ');
  throw new MigrationRefused(
    `${target.location} has rows already that are not those of this Islet${named && ` (${named})`}: give an empty database`,
  );
}

async function readStates({ dataDir }: Source): Promise<Resting> {
  const resting = await readRestingNode(dataDir);
  if (resting.unread.length === 0) return resting;
  throw new MigrationRefused(
    `this version does not read ${resting.unread.join(', ')} in ${dataDir}: start it with \`islet up\` once, ` +
      'which takes over what an earlier one left and removes what nothing needs, stop it, and try again',
  );
}

function sumOf<Key extends string>(list: readonly Record<Key, number>[], key: Key): number {
  return list.reduce((sum, each) => sum + each[key], 0);
}

async function sendAll(
  all: readonly RestingState[],
  store: ObjectStore,
  { source, signal, reporter, leaveDamaged }: MigrationOptions,
): Promise<Pick<Migration, 'states' | 'damaged'>> {
  const sending = reporter.step('states', `Sending ${all.length} saved states to ${store.name}`);
  const states: RestingState[] = [];
  const damaged: Migration['damaged'] = [];
  const total = sumOf(all, 'bytes') || 1;
  const host = openHostExec();
  try {
    const { dataDir, workDir } = source;
    const sender = new RestingSender({ dataDir, workDir, exec: host.exec, shared: new SharedStates(store) });
    for (const each of all) {
      signal.throwIfAborted();
      sending.progress(each.record, sumOf(states, 'bytes') / total);
      try {
        await sender.send(each, signal);
        await sender.check(each, signal);
        states.push(each);
      } catch (error) {
        if (!(error instanceof DamagedSnapshotError)) throw error;
        damaged.push({ record: each.record, reason: error.message });
      }
    }
  } finally {
    host.close();
  }
  if (damaged.length > 0 && !leaveDamaged) {
    const list = damaged.map(({ record, reason }) => `${record}: ${reason}`).join('\n  ');
    throw new MigrationRefused(
      `${damaged.length} of ${all.length} saved states cannot be moved, and no row was copied:\n  ${list}\n` +
        'Delete them in the source, or leave them behind with --leave-damaged',
    );
  }
  sending.done(`${states.length} saved states are in ${store.name}, and checked`);
  return { states, damaged };
}
