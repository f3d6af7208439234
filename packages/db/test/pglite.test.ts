import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type Database,
  findTeam,
  LOCAL_DEV,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  seed,
} from '../src/index.ts';
import { databaseContract } from './database.contract.ts';

/** A file that tells clusters from the archive. */
const MARK = 'from-archive';
let root: string;
let archive: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'islet-pglite-'));
  archive = join(root, 'cluster.tar.gz');
  await (await open('first')).close();
  await writeFile(join(root, 'first', MARK), '');
  await promisify(execFile)('tar', ['-czf', archive, '-C', join(root, 'first'), '.']);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const open = (name: string, clusterArchive = archive): Promise<Database> =>
  openDatabase({ dataDir: join(root, name), migrationsDir: MIGRATIONS_DIR, clusterArchive });

databaseContract('PGlite', () => open('contract'));

it('starts from an archive where there is one that is whole, else makes its cluster itself', async () => {
  // What a killed process left of its own unpacking is in nobody's way.
  await mkdir(join(root, 'unpacked.new'));
  await (await open('unpacked')).close();
  expect(await readdir(join(root, 'unpacked'))).toContain(MARK);
  const broken = join(root, 'broken.tar.gz');
  await copyFile(archive, broken);
  await truncate(broken, 1_000);
  await (await open('made', broken)).close();
  expect(await readdir(join(root, 'made'))).not.toContain(MARK);
  expect((await readdir(root)).filter((name) => name.endsWith('.new'))).toEqual([]);
  // Its files may be written by everybody.
  for (const name of ['unpacked', 'made']) expect((await stat(join(root, name))).mode & 0o077).toBe(0);
});

it('keeps its rows over a close and an open', async () => {
  const first = await open('kept');
  await migrate(first);
  await seed(first);
  await first.close();
  await first.close();
  const second = await open('kept');
  expect(await migrate(second)).toEqual([]);
  expect((await findTeam(second, LOCAL_DEV.teamId))?.slug).toBe('local-dev-team');
  await second.close();
  expect((await readdir(root)).filter((name) => name.includes('lock'))).not.toContain('kept.lock');
});

it('refuses a directory that a live process holds, and names it', async () => {
  const first = await open('held');
  await expect(open('held')).rejects.toThrow(`in use by process ${process.pid}`);
  await first.close();
  await (await open('held')).close();
});

it('takes over the lock of a process that is gone, whatever has its id now', async () => {
  await mkdir(root, { recursive: true });
  // This process's own id, but of one that started at another time.
  await writeFile(join(root, 'stale.lock'), `${process.pid} 1\n`);
  await (await open('stale')).close();
  await writeFile(join(root, 'stale.lock'), 'nonsense');
  await (await open('stale')).close();
});

it('refuses a database that a newer version migrated', async () => {
  const db = await open('newer');
  await migrate(db);
  const { sql } = await import('drizzle-orm');
  await db.orm.execute(sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('future', 1)`);
  await expect(migrate(db)).rejects.toThrow('another version of Islet');
  await db.close();
});

it('asks for a place where it gets none', () => {
  expect(() => openDatabase({ migrationsDir: MIGRATIONS_DIR })).toThrow('DATABASE_URL');
});
