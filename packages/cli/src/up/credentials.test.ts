import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  addWellKnownCredentials,
  type Database,
  findWellKnown,
  LOCAL_DEV,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  revokeApiKey,
  revokeWellKnown,
  seed,
} from '@islet/db';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { credentialFile, makeLocalCredentials } from '../host/local-credentials.ts';
import { clientCredentials, settleWellKnown, tellWellKnown } from './credentials.ts';

let dir: string;
let db: Database;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-credentials-'));
  db = await openDatabase({ dataDir: join(dir, 'db'), migrationsDir: MIGRATIONS_DIR });
  await migrate(db);
  await seed(db, { credentials: () => makeLocalCredentials(dir) });
});
afterAll(async () => {
  await db.close();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => void (await revokeWellKnown(db)));

const NONE = { apiKey: false, accessToken: false };
const BOTH = { apiKey: true, accessToken: true };
const settle = (host: string, localDevKey: boolean | undefined, isNew: boolean) =>
  settleWellKnown(db, { host, localDevKey, dataDir: dir, databaseUrl: undefined }, isNew);

describe('the credentials that everybody knows', () => {
  it.each(['127.0.0.1', '127.3.2.1', '::1'])(
    'come with a first start on %s, and with no other',
    async (host) => {
      expect(await settle(host, undefined, true)).toEqual(BOTH);
      await revokeWellKnown(db);
      expect(await settle(host, undefined, false)).toEqual(NONE);
    },
  );

  it('do not come with a first start elsewhere, nor if they are not wanted', async () => {
    expect(await settle('0.0.0.0', undefined, true)).toEqual(NONE);
    expect(await settle('127.0.0.1', false, true)).toEqual(NONE);
  });

  it('stay where they are, come back if asked for, and are taken away if asked for', async () => {
    expect(await settle('127.0.0.1', true, false)).toEqual(BOTH);
    expect(await settle('127.0.0.1', undefined, false)).toEqual(BOTH);
    expect(await settle('127.0.0.1', false, false)).toEqual(NONE);
    expect(await settle('127.0.0.1', undefined, false)).toEqual(NONE);
  });

  it.each(['0.0.0.0', '::', '10.1.2.3', '2001:db8::1'])(
    'forbid a start on %s, which names the command that takes them back',
    async (host) => {
      await addWellKnownCredentials(db);
      await expect(settle(host, undefined, false)).rejects.toThrow(
        `./islet keys revoke ${LOCAL_DEV.apiKey} --data-dir ${dir}`,
      );
      expect(await findWellKnown(db)).toEqual(BOTH);
      await revokeApiKey(db, LOCAL_DEV.apiKey);
      expect(await settle(host, undefined, false)).toEqual(NONE);
    },
  );

  it('forbid it also if only the token is left, as an older Islet left it', async () => {
    await addWellKnownCredentials(db);
    const { sql } = await import('drizzle-orm');
    await db.orm.execute(sql`delete from team_api_keys where name = ${LOCAL_DEV.apiKeyName}`);
    await expect(settle('0.0.0.0', undefined, false)).rejects.toThrow(
      `./islet tokens revoke ${LOCAL_DEV.accessToken} --data-dir ${dir}`,
    );
    expect(tellWellKnown(await settle('127.0.0.1', undefined, false))).toContain('access token');
    expect(await settle('0.0.0.0', false, false)).toEqual(NONE);
  });

  it('are spoken of where they are good', () => {
    expect(tellWellKnown(NONE)).toBeUndefined();
    expect(tellWellKnown(BOTH)).toMatch(/e2b_53ae.*--no-local-dev-key/);
  });
});

describe('what a client authenticates with', () => {
  it('is the installation’s own, else the well-known one, else nothing', async () => {
    const own = await makeLocalCredentials(dir);
    await addWellKnownCredentials(db);
    expect(await clientCredentials(db, dir)).toEqual({ ...own, apiKeyFile: credentialFile(dir, 'apiKey') });
    // The file of another installation, or of a key that was revoked, is worth nothing.
    expect(await clientCredentials(db, join(dir, 'elsewhere'))).toEqual({
      apiKey: LOCAL_DEV.apiKey,
      apiKeyFile: null,
      accessToken: LOCAL_DEV.accessToken,
    });
    await revokeWellKnown(db);
    await writeFile(credentialFile(dir, 'apiKey'), `e2b_${'0'.repeat(40)}`);
    expect(await clientCredentials(db, dir)).toEqual({
      apiKey: null,
      apiKeyFile: null,
      accessToken: own.accessToken,
    });
  });
});
