import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, MIGRATIONS_DIR, migrate, openDatabase } from '@islet/db';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StartRefused } from '../up/claim.ts';
import { assertSharedSeed, readSharedSecrets } from './shared-secrets.ts';

const newSeed = () => randomBytes(32).toString('hex');
let dir: string;
let db: Database;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-secrets-'));
  db = await openDatabase({ dataDir: join(dir, 'db'), migrationsDir: MIGRATIONS_DIR });
  await migrate(db);
});
afterAll(async () => {
  await db.close();
  await rm(dir, { recursive: true, force: true });
});

it('refuses an API with another seed than the first one on a database that APIs share', async () => {
  const shared: Database = Object.create(db, { kind: { value: 'postgresql' } });
  const tokenSeed = newSeed();
  await assertSharedSeed(shared, { tokenSeed });
  await assertSharedSeed(shared, { tokenSeed });
  const refused = assertSharedSeed(shared, { tokenSeed: newSeed() });
  await expect(refused).rejects.toThrow(StartRefused);
  await expect(refused).rejects.toThrow(/--secrets-dir/);
  // One process alone has it, which may have made a new seed.
  await assertSharedSeed(db, { tokenSeed: newSeed() });
});

it('takes both secrets of a directory that is named, and says what is missing', async () => {
  const own = { tokenSeed: newSeed(), adminToken: newSeed() };
  expect(await readSharedSecrets(own, undefined)).toBe(own);
  const named = join(dir, 'named');
  await mkdir(named);
  const given = { tokenSeed: newSeed(), adminToken: newSeed() };
  await writeFile(join(named, 'token-seed'), `${given.tokenSeed}\n`);
  await expect(readSharedSecrets(own, named)).rejects.toThrow(/admin-token is not there/);
  await writeFile(join(named, 'admin-token'), given.adminToken);
  expect(await readSharedSecrets(own, named)).toEqual(given);
  await writeFile(join(named, 'token-seed'), 'short');
  await expect(readSharedSecrets(own, named)).rejects.toThrow(/token-seed is damaged/);
});
