import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  isDatabaseUnavailable,
  MIGRATIONS_DIR,
  migrate,
  migrationStatus,
  openDatabase,
} from '../src/index.ts';
import { databaseContract } from './database.contract.ts';
import { type PostgresCluster, startPostgres } from './postgres.ts';

/** Finds queries of others. */
const UNDER_WAY =
  "select pid from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()";

let cluster: PostgresCluster;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(() => cluster?.stop());

const open = async (name: string) =>
  openDatabase({ url: await cluster.createDatabase(name), migrationsDir: MIGRATIONS_DIR });

databaseContract('PostgreSQL', () => open('contract'));

it('migrates once when several connections start at the same moment', async () => {
  const url = await cluster.createDatabase('race');
  const databases = await Promise.all(
    Array.from({ length: 4 }, () => openDatabase({ url, migrationsDir: MIGRATIONS_DIR })),
  );
  const [first] = databases;
  if (!first) throw new Error('no database');
  const { pending } = await migrationStatus(first);
  const results = await Promise.all(databases.map(migrate));
  expect(results.flat()).toEqual(pending);
  await Promise.all(databases.map((db) => db.close()));
});

it('says what it cannot reach, without the password', async () => {
  const refused = openDatabase({
    url: 'postgres://islet:secret@127.0.0.1:1/x',
    migrationsDir: MIGRATIONS_DIR,
  });
  await expect(refused).rejects.toThrow('cannot reach postgres://islet@127.0.0.1:1/x');
});

it('says that it is away from a server that crashes, and works with it when it is back', async () => {
  const db = await open('crashes');
  try {
    const ask = (sleepS: number) => db.orm.execute(sql`select pg_sleep(${sleepS})`);
    const failure = (work: Promise<unknown>) => work.then(() => undefined, isDatabaseUnavailable);
    await ask(0);
    const underWay = failure(ask(60));
    await expect.poll(() => cluster.query('crashes', UNDER_WAY)).toHaveLength(1);
    await cluster.crash();
    expect(await underWay).toBe(true);
    expect(await failure(ask(0))).toBe(true);
    expect(await failure(db.orm.transaction(() => Promise.resolve()))).toBe(true);
    await cluster.restart();
    await ask(0);
    expect(await failure(db.orm.execute(sql`select nonsense`))).toBe(false);
  } finally {
    await db.close();
  }
});

it('says that it is away from a server that hangs, in bounded time, and works with it when it goes on', async () => {
  const db = await open('hangs');
  try {
    const ask = (sleepS = 0) => db.orm.execute(sql`select pg_sleep(${sleepS})`);
    const transaction = () => db.orm.transaction((tx) => tx.execute(sql`select 1`));
    const failure = (work: Promise<unknown>) => work.then(() => undefined, isDatabaseUnavailable);
    // One that is only slow.
    await ask(7);
    await Promise.all([ask(), transaction()]);
    await cluster.hang();
    try {
      const asked = [...Array.from({ length: 8 }, transaction), ...Array.from({ length: 8 }, () => ask())];
      expect(await Promise.all(asked.map(failure))).toEqual(asked.map(() => true));
      expect(await failure(transaction())).toBe(true);
    } finally {
      await cluster.goOn();
    }
    await Promise.all([
      ...Array.from({ length: 12 }, transaction),
      ...Array.from({ length: 12 }, () => ask()),
    ]);
  } finally {
    await db.close();
  }
}, 120_000);
