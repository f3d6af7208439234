import { hashKey } from '@islet/contracts';
import { eq, sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import {
  addWellKnownCredentials,
  BASE_TIER,
  createAccessToken,
  createApiKey,
  createTeam,
  type Database,
  deleteAccessToken,
  deleteApiKey,
  findAccessTokenOwners,
  findApiKeyOwners,
  findWellKnown,
  formatMask,
  LOCAL_DEV,
  listAccessTokens,
  listApiKeys,
  listKeyDefects,
  renameApiKey,
  revokeAccessToken,
  revokeApiKey,
  revokeWellKnown,
  touchApiKey,
} from '../src/index.ts';
import { teamApiKeys } from '../src/schema/index.ts';

/** API keys and access tokens in any database. `database` gives it seeded. */
export function keysContract(database: () => Database): void {
  describe('keys', () => {
    it('creates a key that is found by its hash, used, renamed and deleted', async () => {
      const created = await createApiKey(database(), {
        teamId: LOCAL_DEV.teamId,
        name: 'one',
        createdBy: LOCAL_DEV.userId,
      });
      expect(created.key).toMatch(/^e2b_[0-9a-f]{40}$/);
      const hash = hashKey('api', created.key);
      expect((await findApiKeyOwners(database(), [hash, '$sha256$none'])).map((row) => row.keyId)).toEqual([
        created.id,
      ]);
      expect(created.lastUsed).toBeNull();
      await touchApiKey(database(), created.id);
      const target = { id: created.id, teamId: created.teamId };
      expect(await renameApiKey(database(), target, 'two')).toBe(true);
      const listed = (await listApiKeys(database(), LOCAL_DEV.teamId)).find((key) => key.id === created.id);
      expect(listed).toMatchObject({ name: 'two', createdBy: LOCAL_DEV.userId, mask: created.mask });
      expect(listed?.lastUsed).toBeInstanceOf(Date);
      expect(await deleteApiKey(database(), { id: created.id, teamId: crypto.randomUUID() })).toBeUndefined();
      expect(await deleteApiKey(database(), target)).toEqual({ apiKeys: [hash], accessTokens: [] });
      expect(await findApiKeyOwners(database(), [hash])).toEqual([]);
    });

    it('revokes by id, by the key itself, by its mask and by its start', async () => {
      const { id: teamId } = await createTeam(database(), {
        name: 'keys',
        email: 'k@example.org',
        tier: BASE_TIER.id,
      });
      const make = () => createApiKey(database(), { teamId, name: 'k' });
      for (const select of [
        (key: Awaited<ReturnType<typeof make>>) => key.id,
        (key: Awaited<ReturnType<typeof make>>) => key.key,
        (key: Awaited<ReturnType<typeof make>>) => formatMask(key.mask),
      ]) {
        const key = await make();
        expect(await revokeApiKey(database(), select(key))).toMatchObject({
          outcome: 'revoked',
          key: { id: key.id },
        });
        expect(await revokeApiKey(database(), select(key))).toEqual({ outcome: 'not-found' });
      }
      expect(await listApiKeys(database(), teamId)).toEqual([]);
      await make();
      expect(await revokeApiKey(database(), 'e2b_')).toEqual({ outcome: 'not-found' });
    });

    it('revokes nothing if the start of a key names several', async () => {
      const before = await listApiKeys(database());
      const [first] = await listApiKeys(database(), LOCAL_DEV.teamId);
      if (!first) throw new Error('no key');
      const { key, ...twin } = { ...first, key: `$sha256$${'A'.repeat(43)}` };
      const [inserted] = await database()
        .orm.insert(teamApiKeys)
        .values({
          teamId: twin.teamId,
          name: 'twin',
          apiKeyHash: key,
          apiKeyPrefix: twin.mask.prefix,
          apiKeyLength: twin.mask.valueLength,
          apiKeyMaskPrefix: twin.mask.maskedValuePrefix,
          apiKeyMaskSuffix: 'ffff',
        })
        .returning();
      const start = `${twin.mask.prefix}${twin.mask.maskedValuePrefix}`;
      expect(await revokeApiKey(database(), start)).toMatchObject({ outcome: 'ambiguous' });
      expect(await listApiKeys(database())).toHaveLength(before.length + 1);
      if (inserted) await deleteApiKey(database(), inserted);
    });

    it('creates and deletes access tokens of their user only', async () => {
      const token = await createAccessToken(database(), { userId: LOCAL_DEV.userId, name: 'cli' });
      const hash = hashKey('access', token.token);
      expect(await findAccessTokenOwners(database(), [hash])).toMatchObject([
        { hash, userId: LOCAL_DEV.userId },
      ]);
      expect(
        await deleteAccessToken(database(), { id: token.id, userId: crypto.randomUUID() }),
      ).toBeUndefined();
      expect(await deleteAccessToken(database(), { id: token.id, userId: LOCAL_DEV.userId })).toBe(hash);
    });

    it('lists and revokes access tokens as it does keys', async () => {
      const make = () => createAccessToken(database(), { userId: LOCAL_DEV.userId, name: 'cli' });
      for (const select of [
        (made: Awaited<ReturnType<typeof make>>) => made.id,
        (made: Awaited<ReturnType<typeof make>>) => made.token,
        (made: Awaited<ReturnType<typeof make>>) => formatMask(made.mask),
      ]) {
        const made = await make();
        const { token, ...shown } = made;
        expect(await listAccessTokens(database())).toContainEqual(shown);
        expect(await revokeAccessToken(database(), select(made))).toEqual({
          outcome: 'revoked',
          token: shown,
          revoked: { apiKeys: [], accessTokens: [hashKey('access', token)] },
        });
        expect(await revokeAccessToken(database(), select(made))).toEqual({ outcome: 'not-found' });
      }
      expect(await revokeAccessToken(database(), 'sk_e2b_')).toEqual({ outcome: 'not-found' });
    });

    it.each([
      ['by the key', LOCAL_DEV.apiKey],
      ['by its mask', 'e2b_53...dd90'],
      [
        'by its spelling in capitals',
        LOCAL_DEV.apiKey.replace(/[a-f]/g, (digit) => digit.toUpperCase()).replace('E2B', 'e2b'),
      ],
    ])('revokes the well-known token with the well-known key, named %s', async (_, selector) => {
      await addWellKnownCredentials(database());
      expect(await revokeApiKey(database(), selector)).toMatchObject({
        outcome: 'revoked',
        revoked: {
          apiKeys: [hashKey('api', LOCAL_DEV.apiKey)],
          accessTokens: [hashKey('access', LOCAL_DEV.accessToken)],
        },
      });
      expect(await findWellKnown(database())).toEqual({ apiKey: false, accessToken: false });
      await addWellKnownCredentials(database());
    });

    it('revokes the well-known credentials whoever has them', async () => {
      const team = await createTeam(database(), {
        name: 'other',
        email: 'o@example.org',
        tier: BASE_TIER.id,
      });
      await database()
        .orm.update(teamApiKeys)
        .set({ teamId: team.id, name: 'renamed' })
        .where(eq(teamApiKeys.apiKeyHash, hashKey('api', LOCAL_DEV.apiKey)));
      expect(await findWellKnown(database())).toEqual({ apiKey: true, accessToken: true });
      expect(await revokeWellKnown(database())).toEqual({
        apiKeys: [hashKey('api', LOCAL_DEV.apiKey)],
        accessTokens: [hashKey('access', LOCAL_DEV.accessToken)],
      });
      expect(await revokeWellKnown(database())).toEqual({ apiKeys: [], accessTokens: [] });
      expect(await findWellKnown(database())).toEqual({ apiKey: false, accessToken: false });
      await addWellKnownCredentials(database());
    });

    it('names the stored keys that can never work, row by row', async () => {
      expect(await listKeyDefects(database())).toEqual([]);
      const row = (name: string, apiKeyHash: string, teamId: string = LOCAL_DEV.teamId) => ({
        name,
        apiKeyHash,
        teamId,
        apiKeyPrefix: 'e2b_',
        apiKeyLength: 32,
        apiKeyMaskPrefix: 'aa',
        apiKeyMaskSuffix: 'bbbb',
      });
      const sound = (letter: string) => `$sha256$${letter.repeat(43)}`;
      const orphan = crypto.randomUUID();
      const tierless = crypto.randomUUID();
      await database().orm.transaction(async (tx) => {
        // Rows as imports with constraints off leave them behind.
        await tx.execute(sql`set local session_replication_role = replica`);
        await tx.execute(
          sql`insert into teams (id, name, slug, tier, email) values (${tierless}, 't', 'tierless', 'gone', 'e')`,
        );
        await tx
          .insert(teamApiKeys)
          .values([
            row('bcrypt', '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'),
            row('no prefix', 'A'.repeat(43)),
            row('short', '$sha256$AAAA'),
            row('no team', sound('B'), orphan),
            row('no tier', sound('C'), tierless),
          ]);
      });
      const defects = await listKeyDefects(database());
      expect(Object.fromEntries(defects.map(({ name, reason }) => [name, reason]))).toEqual({
        bcrypt: expect.stringContaining('bcrypt'),
        'no prefix': expect.stringContaining('prefix'),
        short: expect.stringContaining('4 characters'),
        'no team': `its team ${orphan} does not exist`,
        'no tier': `its team ${tierless} has no tier: there is none named "gone"`,
      });
      for (const defect of defects) await deleteApiKey(database(), { id: defect.id, teamId: defect.ownerId });
      expect(await listKeyDefects(database())).toEqual([]);
    });
  });
}
