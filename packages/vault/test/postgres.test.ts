import { MIGRATIONS_DIR, openDatabase } from '@islet/db';
import { startPostgres } from '@islet/db/test-server';
import { afterAll } from 'vitest';
import { vaultContract } from './vault.contract.ts';

const cluster = await startPostgres();
afterAll(() => cluster.stop());

vaultContract('PostgreSQL', async () =>
  openDatabase({ url: await cluster.createDatabase('vault'), migrationsDir: MIGRATIONS_DIR }),
);
