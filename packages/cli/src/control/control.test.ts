import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashKey } from '@islet/contracts';
import {
  addWellKnownCredentials,
  findApiKeyOwners,
  LOCAL_DEV,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  seed,
} from '@islet/db';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateDatabase, evaluateKeys } from '../doctor/checks/database.ts';
import { probeDatabase } from '../doctor/installation.ts';
import { openInstance } from '../host/instance.ts';
import { lockInstance } from '../host/instance-lock.ts';
import { makeLocalCredentials } from '../host/local-credentials.ts';
import { readUpConfig } from '../up/config.ts';
import { administrationOf } from './administration.ts';
import { databaseDir, openInstallation } from './open.ts';
import { administrationThrough, readStatus, serveControl } from './socket.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-control-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('administration of an installation that does not run', () => {
  const options = () => ({
    dataDir: join(dir, 'idle'),
    databaseUrl: undefined,
    migrationsDir: MIGRATIONS_DIR,
  });

  it('works on its database, and gives it free again', async () => {
    await using first = await openInstallation(options());
    if (!first.db) throw new Error('the database should have been opened');
    expect(await first.administration.databaseReport({})).toMatchObject({ applied: [], defects: [] });
    await migrate(first.db);
    await seed(first.db, { credentials: () => makeLocalCredentials(join(dir, 'idle')) });
    await addWellKnownCredentials(first.db);
    const made = await first.administration.createKey({ name: 'ci', team: LOCAL_DEV.teamSlug });
    expect(made.key).toMatch(/^e2b_[0-9a-f]{40}$/);
    const owners = await findApiKeyOwners(first.db, [hashKey('api', made.key)]);
    expect(owners.map(({ team }) => team.id)).toEqual([LOCAL_DEV.teamId]);
    await expect(first.administration.createKey({ name: 'x', team: 'nobody' })).rejects.toThrow(
      'there is no team "nobody"; there are: local-dev-team',
    );
  });

  it('sees what an earlier command did', async () => {
    await using second = await openInstallation(options());
    const keys = await second.administration.listKeys({});
    expect(keys.map(({ name }) => name).sort()).toEqual(['ci', 'first start', LOCAL_DEV.apiKeyName]);
    const revoked = await second.administration.revokeKey({ selector: LOCAL_DEV.apiKey });
    expect(revoked).toMatchObject({ mask: 'e2b_53...dd90', alsoRevoked: 'access-token' });
    const tokens = await second.administration.listTokens({});
    expect(tokens.map(({ name }) => name)).toEqual(['first start']);
    await expect(second.administration.revokeKey({ selector: LOCAL_DEV.apiKey })).rejects.toThrow(
      /no key is named/,
    );
  });

  it('is what the doctor looks into, without holding it', async () => {
    const config = readUpConfig({ flags: { 'data-dir': join(dir, 'idle') }, env: {} });
    const facts = await probeDatabase(config, MIGRATIONS_DIR);
    expect(evaluateDatabase(facts).status).toBe('ok');
    expect(evaluateKeys(facts).map(({ status }) => status)).toEqual(['ok']);
    await (await openInstallation(options()))[Symbol.asyncDispose]();
  });

  it('is not made by the doctor if it is not there', async () => {
    const config = readUpConfig({ flags: { 'data-dir': join(dir, 'absent') }, env: {} });
    expect(await probeDatabase(config, MIGRATIONS_DIR)).toEqual({
      kind: 'none',
      dataDir: join(dir, 'absent'),
    });
    await expect(stat(join(dir, 'absent'))).rejects.toThrow(/ENOENT/);
  });
});

describe('the control socket of a running installation', () => {
  it('gives the same administration to other processes of its owner, and to nobody else', async () => {
    const instance = await openInstance(join(dir, 'running'));
    await using _lock = await lockInstance(instance);
    const db = await openDatabase({ dataDir: databaseDir(instance), migrationsDir: MIGRATIONS_DIR });
    const path = join(dir, 'control.sock');
    try {
      await migrate(db);
      await seed(db);
      expect(await readStatus(path)).toBeUndefined();
      const status = {
        pid: 7,
        version: '1',
        apiUrl: 'http://a',
        sandboxUrl: 'http://s',
        unexpectedErrors: 0,
      };
      await using _served = await serveControl({
        path,
        administration: administrationOf(db),
        status: () => status,
      });
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(await readStatus(path)).toEqual(status);
      const remote = administrationThrough(path);
      const { key, id } = await remote.createKey({ name: 'remote' });
      expect((await remote.listKeys({})).map((view) => view.id)).toContain(id);
      expect((await remote.revokeKey({ selector: key })).id).toBe(id);
      await expect(remote.revokeKey({ selector: key })).rejects.toThrow(/no key is named/);
      expect((await remote.databaseReport({})).pending).toEqual([]);
    } finally {
      await db.close();
    }
    await expect(stat(path)).rejects.toThrow(/ENOENT/);
  });

  it('that does not answer while the data directory is held is said to be starting or stopping', async () => {
    const instance = await openInstance(join(dir, 'starting'));
    await using _lock = await lockInstance(instance);
    const opening = openInstallation({
      dataDir: join(dir, 'starting'),
      databaseUrl: undefined,
      migrationsDir: MIGRATIONS_DIR,
    });
    await expect(opening).rejects.toThrow(
      new RegExp(`in use \\(pid ${process.pid}\\) by an Islet that is starting`),
    );
  });
});
