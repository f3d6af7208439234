import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, MIGRATIONS_DIR, migrate, openDatabase, seed, takeOwedAudit } from '@islet/db';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Administration, AdministrationError, administrationOf } from './administration.ts';
import { auditedAdministration } from './audit.ts';

let dir: string;
let db: Database;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-audit-'));
  db = await openDatabase({ dataDir: join(dir, 'db'), migrationsDir: MIGRATIONS_DIR });
  await migrate(db);
  await seed(db);
});
afterAll(async () => {
  await db.close();
  await rm(dir, { recursive: true, force: true });
});

/** What the database was left, and forgets. */
async function left(): Promise<{ method: string; status: number }[]> {
  const records: { method: string; status: number }[] = [];
  await takeOwedAudit(db, async (owed) => {
    for (const { record } of owed) records.push(JSON.parse(record));
  });
  return records;
}

function failingWith(error: Error): Administration {
  const createTeam = () => Promise.reject(error);
  return auditedAdministration({ ...administrationOf(db), createTeam }, db);
}

it('leaves a record of what was done, of what was refused and of what broke', async () => {
  const team = { name: 'one' };
  await auditedAdministration(administrationOf(db), db).createTeam(team);
  const refusal = new AdministrationError('no');
  await expect(failingWith(refusal).createTeam(team)).rejects.toBe(refusal);
  const failure = new Error('the disk is full');
  await expect(failingWith(failure).createTeam(team)).rejects.toBe(failure);
  await auditedAdministration(administrationOf(db), db).listTeams({});
  expect(await left()).toMatchObject([200, 400, 500].map((status) => ({ method: 'createTeam', status })));
});

it('tells the error of a call, and not that its record could not be left', async () => {
  const closed = await openDatabase({ dataDir: join(dir, 'other'), migrationsDir: MIGRATIONS_DIR });
  await closed.close();
  const failure = new Error('the disk is full');
  const createTeam = () => Promise.reject(failure);
  const audited = auditedAdministration({ ...administrationOf(db), createTeam }, closed);
  await expect(audited.createTeam({ name: 'one' })).rejects.toBe(failure);
});
