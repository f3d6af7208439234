import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MIGRATIONS_DIR, openDatabase } from '@islet/db';
import { afterAll } from 'vitest';
import { vaultContract } from './vault.contract.ts';

const dir = await mkdtemp(join(tmpdir(), 'islet-vault-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

vaultContract('PGlite', () => openDatabase({ dataDir: join(dir, 'db'), migrationsDir: MIGRATIONS_DIR }));
