import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  announceMember,
  createJoinToken,
  type Database,
  enrollMember,
  type JoinResult,
  joinWithToken,
  listMembers,
  listRemovedMembers,
  listStandings,
  type MemberRole,
  type NewMember,
  removeMember,
  renewMember,
  type Standing,
  setStanding,
} from '../src/index.ts';

const NOW = new Date('2026-03-01T12:00:00.000Z');
const later = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000);

/** Rows of a cluster's members in any database. `database` gives it migrated. */
export function clusterContract(database: () => Database): void {
  const newToken = async (role: MemberRole = 'node') =>
    (await createJoinToken(database(), { role, now: NOW, expiresAt: later(60) })).secret;
  const someone = (name = `n-${randomUUID()}`): NewMember => ({
    ...{ id: randomUUID(), name, serial: '4a', expiresAt: later(1440) },
  });
  const join = (secret: string, member = someone(), now = later(1)): Promise<JoinResult> =>
    joinWithToken(database(), { secret, now }, async () => member);
  const find = async (id: string) => (await listMembers(database())).find((member) => member.id === id);

  it('enrolls a node by its own process, and no other one under its name', async () => {
    const at = { address: '10.0.0.1', sandboxProxyPort: 1, orchestratorPort: 2, templateManagerPort: 3 };
    const own = { ...someone(), role: 'node', joinedAt: NOW, labels: {}, at } as const;
    expect(await enrollMember(database(), own)).toBe(true);
    const moved = { ...own, at: { ...at, address: '10.0.0.2' } };
    expect(await enrollMember(database(), moved)).toBe(true);
    expect(await find(own.id)).toEqual(moved);
    expect(await enrollMember(database(), { ...own, id: randomUUID() })).toBe(false);
    expect(await join(await newToken(), someone(own.name))).toMatchObject({ outcome: 'name-taken' });
    expect(await find(own.id)).toEqual(moved);
  });

  describe('join tokens', () => {
    it('let one in, for the role that they were made for', async () => {
      const secret = await newToken('edge');
      const roles: MemberRole[] = [];
      const member = someone();
      const admit = async (role: MemberRole) => {
        roles.push(role);
        return member;
      };
      const joined = await joinWithToken(database(), { secret, now: later(1) }, admit);
      expect(joined).toEqual({ outcome: 'joined', role: 'edge' });
      expect(roles).toEqual(['edge']);
      expect(await find(member.id)).toEqual({
        ...{ ...member, role: 'edge', joinedAt: later(1) },
        ...{ at: undefined, labels: {} },
      });
      expect(await join(secret)).toEqual({ outcome: 'used' });
      expect(await join('anything')).toEqual({ outcome: 'unknown' });
    });

    it('let an API in once, which is no member', async () => {
      const { secret } = await createJoinToken(database(), { role: 'api', now: NOW, expiresAt: later(60) });
      const before = await listMembers(database());
      const admit = () => Promise.reject(new Error('nobody is to be made'));
      const join = () => joinWithToken(database(), { secret, now: later(1) }, admit);
      expect(await join()).toEqual({ outcome: 'joined', role: 'api' });
      expect(await join()).toEqual({ outcome: 'used' });
      expect(await listMembers(database())).toEqual(before);
    });

    it('let one in, however many come at once', async () => {
      const secret = await newToken();
      const members = Array.from({ length: 50 }, () => someone());
      const results = await Promise.all(members.map((member) => join(secret, member)));
      expect(results.filter(({ outcome }) => outcome === 'joined')).toHaveLength(1);
      expect(results.filter(({ outcome }) => outcome === 'used')).toHaveLength(49);
      const ids = new Set(members.map(({ id }) => id));
      expect((await listMembers(database())).filter(({ id }) => ids.has(id))).toHaveLength(1);
    });

    it('let nobody in any more when their time is over', async () => {
      const secret = await newToken();
      expect(await join(secret, someone(), later(60))).toEqual({ outcome: 'expired' });
      expect(await join(secret, someone(), later(59))).toMatchObject({ outcome: 'joined' });
    });

    it('are not spent on a name that is taken, or by somebody who cannot be let in', async () => {
      const one = someone();
      await join(await newToken(), one);
      const secret = await newToken();
      expect(await join(secret, someone(one.name))).toEqual({ outcome: 'name-taken', role: 'node' });
      const refuse = () =>
        joinWithToken(database(), { secret, now: NOW }, () => Promise.reject(new Error('no')));
      await expect(refuse()).rejects.toThrow('no');
      expect(await join(secret)).toMatchObject({ outcome: 'joined' });
      expect(await join(await newToken('edge'), someone(one.name))).toMatchObject({ outcome: 'joined' });
    });
  });

  describe('members', () => {
    const at = {
      address: '10.0.0.2',
      sandboxProxyPort: 5007,
      orchestratorPort: 5008,
      templateManagerPort: 5009,
    };

    it('say where they are, and renew their certificates, until they are removed', async () => {
      const member = someone();
      await join(await newToken(), member);
      expect(await announceMember(database(), member.id, { at, labels: { zone: 'a' } })).toBe(true);
      const newer = { serial: '4b', expiresAt: later(3_000) };
      expect(await renewMember(database(), member.id, newer)).toBe(true);
      expect(await find(member.id)).toMatchObject({ at, labels: { zone: 'a' }, ...newer });
      expect(await removeMember(database(), 'edge', member.name)).toBe(false);
      expect(await removeMember(database(), 'node', member.name)).toBe(true);
      expect(await removeMember(database(), 'node', member.name)).toBe(false);
      expect(await announceMember(database(), member.id, { at, labels: {} })).toBe(false);
      expect(await renewMember(database(), member.id, newer)).toBe(false);
      expect(await find(member.id)).toBeUndefined();
    });

    it('are known as removed as long as a certificate of theirs is good', async () => {
      const [good, over] = [someone(), someone()];
      const until = (ms: number) => ({ serial: '4b', expiresAt: new Date(Date.now() + ms) });
      for (const [member, ms] of [
        [good, 3_600_000],
        [over, -1_000],
      ] as const) {
        await join(await newToken(), member);
        await renewMember(database(), member.id, until(ms));
        expect(await listRemovedMembers(database())).not.toContain(member.id);
        await removeMember(database(), 'node', member.name);
      }
      const removed = await listRemovedMembers(database());
      expect(removed).toContain(good.id);
      expect(removed).not.toContain(over.id);
    });
  });

  describe('standings of nodes', () => {
    const set = (nodeId: string, standing: Standing) =>
      setStanding(database(), { nodeId, standing, changedAt: NOW });
    const of = async (nodeId: string) =>
      (await listStandings(database())).find((each) => each.nodeId === nodeId)?.standing;

    it('are what was said last, but nothing that is drained stands by', async () => {
      const node = randomUUID();
      expect(await of(node)).toBeUndefined();
      for (const standing of [
        'standby',
        'draining',
        'draining',
        'ready',
        'standby',
        'unhealthy',
        'draining',
      ] as const) {
        expect(await set(node, standing)).toBe(true);
        expect(await of(node)).toBe(standing);
      }
      expect(await set(node, 'standby')).toBe(false);
      expect(await of(node)).toBe('draining');
    });

    it('go with the node', async () => {
      const member = someone();
      await join(await newToken(), member);
      await set(member.name, 'draining');
      await removeMember(database(), 'node', member.name);
      expect(await of(member.name)).toBeUndefined();
    });
  });
}
