import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newTemplateId } from '@islet/contracts';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  copyContent,
  countRows,
  type Database,
  LOCAL_DEV,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  readContent,
  recordPaused,
  requestBuild,
  seed,
  setTeamStanding,
  settleFact,
} from '../src/index.ts';
import { type PostgresCluster, startPostgres } from './postgres.ts';

const never = { signal: new AbortController().signal };

let cluster: PostgresCluster;
let dir: string;
let source: Database;
beforeAll(async () => {
  cluster = await startPostgres();
  dir = await mkdtemp(join(tmpdir(), 'islet-transfer-'));
  source = await openDatabase({ dataDir: join(dir, 'db'), migrationsDir: MIGRATIONS_DIR });
  await migrate(source);
  await fill(source);
});
afterAll(async () => {
  await source?.close();
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** Some rows of all kinds of columns: arrays, objects, instants, large numbers, texts that need quoting. */
async function fill(db: Database): Promise<void> {
  const { teamId, teamSlug } = LOCAL_DEV;
  await seed(db, {
    credentials: async () => ({ apiKey: `e2b_${'a'.repeat(40)}`, accessToken: `sk_e2b_${'b'.repeat(40)}` }),
  });
  await setTeamStanding(db, teamId, { isBlocked: true, blockedReason: `it's "q" \\ \u{1f600}\n` });
  await db.orm.execute(sql`update teams set sandbox_scheduling_labels = '{"a b","c,d"}'`);
  await db.orm.execute(sql`
    insert into envs (id, team_id, spawn_count, created_at)
    select 'env-' || n, ${teamId}, 9007199254740000 + n, '2026-01-01 12:00:00.123+05'
    from generate_series(1, 1201) n
  `);
  await requestBuild(db, {
    ...{ teamId, teamSlug, name: 'mine', tags: ['default', 'v1'], newTemplateId: newTemplateId() },
    ...{ cpuCount: 2, memoryMb: 512, freeDiskMb: 100, maxConcurrent: 9 },
  });
  await recordPaused(db, [
    {
      sandboxId: 'i1',
      teamId,
      nodeId: 'n',
      pausedAt: new Date(1_700_000_000_123),
      executionId: null,
      shown: null,
    },
  ]);
  await settleFact(db, 'fact', 'value');
}

async function emptyTarget(name: string): Promise<Database> {
  const target = await openDatabase({
    url: await cluster.createDatabase(name),
    migrationsDir: MIGRATIONS_DIR,
  });
  expect(await countRows(target)).toBe(0);
  await migrate(target);
  return target;
}

it('brings every row of every table as it was, and twice is the same as once', async () => {
  const target = await emptyTarget('whole');
  const before = await readContent(source);
  const seen: string[] = [];
  const copied = await copyContent(source, target, { ...never, onTable: (table) => seen.push(table) });
  expect(copied).toEqual(before);
  expect(await readContent(target)).toEqual(before);
  expect(seen).toEqual(before.map(({ table }) => table));
  expect(before.find(({ table }) => table === 'envs')?.rows).toBe(1202);
  expect(await countRows(target)).toBe(before.reduce((sum, { rows }) => sum + rows, 0));
  const rows = await target.orm.execute(
    sql`select spawn_count::text as n, created_at::text as at from envs where id = 'env-1201'`,
  );
  expect(rows).toMatchObject({ rows: [{ n: '9007199254741201' }] });
  expect(await copyContent(source, target, never)).toEqual(before);
  // Counted columns go on behind what came.
  const { teamId, teamSlug } = LOCAL_DEV;
  const next = await requestBuild(target, {
    ...{ teamId, teamSlug, name: 'next', tags: ['default'], newTemplateId: newTemplateId() },
    ...{ cpuCount: 2, memoryMb: 512, freeDiskMb: 100, maxConcurrent: 9 },
  });
  expect(next.kind).toBe('accepted');
  await target.close();
});

it('refuses a database that has other rows, and leaves them alone', async () => {
  const target = await emptyTarget('taken');
  await settleFact(target, 'another', 'value');
  await expect(copyContent(source, target, never)).rejects.toThrow(/has rows.*installation_facts \(1\)/);
  expect(await countRows(target)).toBe(1);
  await target.close();
});

it('leaves nothing if it is broken off', async () => {
  const target = await emptyTarget('broken');
  const stop = new AbortController();
  const onTable = (table: string) => table === 'envs' && stop.abort(new Error('stopped'));
  await expect(copyContent(source, target, { signal: stop.signal, onTable })).rejects.toThrow('stopped');
  expect(await countRows(target)).toBe(0);
  await target.close();
});
