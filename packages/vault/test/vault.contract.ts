import { randomUUID } from 'node:crypto';
import { IsletError } from '@islet/contracts';
import { BASE_TIER, createTeam, type Database, listSealedOtherwise, migrate, seed } from '@islet/db';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  fixedMasterKeys,
  IdentityTokens,
  MasterKeyMissingError,
  newMasterKey,
  parseMasterKeys,
  SealError,
  Secrets,
  SigningKeys,
  Vault,
  writeMasterKeys,
} from '../src/index.ts';

const HOUR_MS = 3_600_000;
const statusOf = (work: Promise<unknown>) =>
  work.then(
    () => 200,
    (error: unknown) => (error instanceof IsletError ? error.status : error),
  );

/** What is kept in any database. `open` gives an empty, unmigrated one. */
export function vaultContract(name: string, open: () => Promise<Database>): void {
  describe(`vault: ${name}`, () => {
    const [first, second] = [newMasterKey(), newMasterKey()];
    let db: Database;
    let vault: Vault;
    let secrets: Secrets;
    let now = Date.now();
    const newTeam = async () => {
      const name = `vault-${randomUUID().slice(0, 8)}`;
      return (await createTeam(db, { name, email: `${name}@example.org`, tier: BASE_TIER.id })).id;
    };
    const dump = async () => JSON.stringify(await listSealedOtherwise(db, 'none', 1_000));
    beforeAll(async () => {
      db = await open();
      await migrate(db);
      await seed(db);
      vault = new Vault(db, fixedMasterKeys([first, second]));
      secrets = new Secrets({ vault, now: () => now, mostPerTeam: 3 });
    });
    afterAll(() => db.close());

    it('settles which key is in use once, and refuses whoever lacks it', async () => {
      const alone = new Vault(db, fixedMasterKeys([first]));
      expect(await alone.settle()).toBe(first.id);
      expect(await vault.settle()).toBe(first.id);
      const stranger = new Vault(db, fixedMasterKeys([newMasterKey()]));
      await expect(stranger.settle()).rejects.toThrow(MasterKeyMissingError);
    });

    it('keeps values for their team alone, and none readable in the database', async () => {
      const [teamId, other] = [await newTeam(), await newTeam()];
      const value = 'a value\u0000 that ends\n';
      const made = await secrets.create(teamId, { name: 'k', value, metadata: { a: '\u0000b' } });
      expect(made).toMatchObject({ name: 'k', version: 1, metadata: { a: '\u0000b' } });
      expect(JSON.stringify(made)).not.toContain('a value');
      expect(await dump()).not.toContain('a value');
      expect(await secrets.resolve(teamId, 'k')).toEqual({ value, version: 1 });
      expect(await secrets.resolve(other, 'k')).toBeUndefined();
      expect(await secrets.find(teamId, { id: made.id })).toEqual(made);
      for (const selector of [{ id: made.id }, { name: 'k' }]) {
        expect(await statusOf(secrets.find(other, selector))).toBe(404);
        expect(await statusOf(secrets.update(other, selector, { value: 'x' }))).toBe(404);
        expect(await statusOf(secrets.destroy(other, selector))).toBe(404);
      }
    });

    it('counts versions up, keeps metadata that is not named, and forgets what is destroyed', async () => {
      const teamId = await newTeam();
      const made = await secrets.create(teamId, { name: 'k', value: 'one', metadata: { a: '1' } });
      now += 5;
      const after = await secrets.update(teamId, { name: 'k' }, { value: 'two' });
      expect(after).toEqual({ ...made, version: 2, updatedAt: new Date(now) });
      expect(
        (await secrets.update(teamId, { id: made.id }, { value: 'three', metadata: {} })).metadata,
      ).toEqual({});
      expect(await secrets.resolve(teamId, 'k')).toEqual({ value: 'three', version: 3 });
      expect(await statusOf(secrets.create(teamId, { name: 'k', value: 'x', metadata: {} }))).toBe(409);
      expect(await secrets.destroy(teamId, { name: 'k' })).toBe(made.id);
      expect(await secrets.resolve(teamId, 'k')).toBeUndefined();
      const again = await secrets.create(teamId, { name: 'k', value: 'x', metadata: {} });
      expect(again.version).toBe(1);
      expect(again.id).not.toBe(made.id);
    });

    it('lets one of several that write at once win, and loses no version', async () => {
      const teamId = await newTeam();
      await secrets.create(teamId, { name: 'k', value: 'one', metadata: {} });
      const results = await Promise.all(
        Array.from({ length: 5 }, (_, i) =>
          statusOf(secrets.update(teamId, { name: 'k' }, { value: `${i}` })),
        ),
      );
      expect(results.every((status) => status === 200 || status === 409)).toBe(true);
      const won = results.filter((status) => status === 200).length;
      expect((await secrets.resolve(teamId, 'k'))?.version).toBe(1 + won);
      const made = await Promise.all(
        Array.from({ length: 5 }, (_, i) =>
          statusOf(secrets.create(teamId, { name: `n${i}`, value: 'x', metadata: {} })),
        ),
      );
      expect(made.sort()).toEqual([200, 200, 409, 409, 409]);
    });

    it('pages from the newest to the oldest', async () => {
      const teamId = await newTeam();
      const ids = [];
      for (const name of ['a', 'b', 'c']) {
        now += name === 'c' ? 0 : 1;
        ids.unshift((await secrets.create(teamId, { name, value: 'x', metadata: {} })).id);
      }
      const all = await secrets.list({ teamId, limit: 10 });
      expect(all.map(({ id }) => id).sort()).toEqual([...ids].sort());
      const [page, last] = [all.slice(0, 2), all[1]];
      expect(await secrets.list({ teamId, limit: 2 })).toEqual(page);
      expect(last && (await secrets.list({ teamId, after: last, limit: 2 }))).toEqual(all.slice(2));
    });

    it('opens nothing that was moved to another owner', async () => {
      const owner = 'secret\na\nsec_1\n1';
      const sealed = await db.orm.transaction((orm) => vault.sealIn({ orm }, 'value', owner));
      expect(await vault.open(sealed, owner)).toBe('value');
      await expect(vault.open(sealed, 'secret\na\nsec_1\n2')).rejects.toThrow(SealError);
      await expect(vault.open({ ...sealed, keyId: second.id }, owner)).rejects.toThrow(SealError);
      await expect(vault.open({ ...sealed, sealed: 'AA==' }, owner)).rejects.toThrow(SealError);
    });

    it('signs identity tokens that its published keys verify, through a rotation of both keys', async () => {
      const keys = new SigningKeys({ vault, now: () => now });
      const tokens = new IdentityTokens({ keys, issuer: () => 'https://islet.example', now: () => now });
      const workload = { teamId: 't', templateId: 'b', sandboxId: 'i', executionId: 'e' };
      const verify = async (token: string) =>
        jwtVerify(token, createLocalJWKSet((await tokens.keySet()) as never), {
          issuer: 'https://islet.example',
          audience: 'sts',
          currentDate: new Date(now),
        });
      const token = await tokens.mint(workload, 'sts');
      const { payload, protectedHeader } = await verify(token);
      expect(protectedHeader).toEqual({ alg: 'RS256', kid: expect.any(String), typ: 'JWT' });
      const at = Math.floor(now / 1_000);
      expect(payload).toEqual({
        ...{ iss: 'https://islet.example', aud: ['sts'], iat: at, nbf: at, exp: at + 300 },
        ...{ jti: expect.stringMatching(/^[0-9a-f-]{36}$/), team_id: 't', template_id: 'b' },
        ...{ sandbox_id: 'i', execution_id: 'e' },
        sub: 'spiffe://islet.example/team/t/template/b/sandbox/i/execution/e',
      });
      expect((await verify(await tokens.mint(workload, 'sts'))).payload.jti).not.toBe(payload.jti);
      const set = await tokens.keySet();
      expect(JSON.stringify(set)).not.toMatch(/"(d|p|q|dp|dq|qi)":/);
      expect(set.keys).toHaveLength(1);
      // Shortly before the first one ends, the second is published, and signs nothing yet.
      now += 30 * 24 * HOUR_MS - 90 * 60_000;
      expect((await tokens.keySet()).keys).toHaveLength(2);
      expect((await verify(await tokens.mint(workload, 'sts'))).protectedHeader.kid).toBe(
        protectedHeader.kid,
      );
      const other = new SigningKeys({ vault, now: () => now });
      expect(await other.published()).toEqual((await tokens.keySet()).keys);
      now += 2 * HOUR_MS;
      const later = await verify(await tokens.mint(workload, 'sts'));
      expect(later.protectedHeader.kid).not.toBe(protectedHeader.kid);
      now += 2 * HOUR_MS;
      expect((await tokens.keySet()).keys.map(({ kid }) => kid)).toEqual([later.protectedHeader.kid]);
    });

    it('is encrypted anew under another master key, while others write', async () => {
      const teamId = await newTeam();
      await secrets.create(teamId, { name: 'k', value: 'kept', metadata: {} });
      const [count] = await Promise.all([
        vault.rotate(second.id),
        ...Array.from({ length: 3 }, () => statusOf(secrets.update(teamId, { name: 'k' }, { value: 'new' }))),
      ]);
      expect(count).toBeGreaterThan(3);
      expect(await listSealedOtherwise(db, second.id, 10)).toEqual([]);
      const alone = new Vault(db, fixedMasterKeys([second]));
      expect(await alone.settle()).toBe(second.id);
      const after = new Secrets({ vault: alone, now: () => now, mostPerTeam: 3 });
      expect((await after.resolve(teamId, 'k'))?.value).toMatch(/^(kept|new)$/);
      const tokens = new SigningKeys({ vault: alone, now: () => now });
      expect((await tokens.signer()).id).toEqual((await tokens.published())[0]?.kid);
      expect(await alone.rotate(second.id)).toBe(0);
    });

    it('reads only whole files of master keys', () => {
      expect(parseMasterKeys(`${writeMasterKeys([first, second])}\n`)).toEqual([first, second]);
      for (const text of ['', 'abc', `${writeMasterKeys([first])}\nx`]) {
        expect(parseMasterKeys(text)).toBeUndefined();
      }
    });
  });
}
