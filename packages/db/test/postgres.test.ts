import { afterAll, beforeAll, expect, it } from 'vitest';
import { MIGRATIONS_DIR, migrate, migrationStatus, openDatabase } from '../src/index.ts';
import { databaseContract } from './database.contract.ts';
import { type PostgresCluster, startPostgres } from './postgres.ts';

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
