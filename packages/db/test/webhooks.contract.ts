import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  BASE_TIER,
  changeWebhook,
  claimDue,
  countWebhooks,
  createTeam,
  createWebhook,
  type Database,
  deleteWebhook,
  dropLeases,
  findWebhook,
  type LeaseOptions,
  listListeners,
  listOwed,
  listWebhooks,
  type OwedEvent,
  oweEvents,
  replayOwed,
  settleOwed,
  stopOwed,
  sweepOwed,
  type Webhook,
} from '../src/index.ts';

const NOW = new Date('2026-12-01T00:00:00Z');
const later = (ms: number) => new Date(NOW.getTime() + ms);
const TYPE = 'sandbox.lifecycle.created';

/** Webhooks, and what they are owed, in any database. `database` gives it seeded. */
export function webhooksContract(database: () => Database): void {
  describe('webhooks', () => {
    let teamId: string;
    let hook: Webhook;
    const newTeam = async () => {
      const name = `hooks-${randomUUID().slice(0, 8)}`;
      return (await createTeam(database(), { name, email: `${name}@example.org`, tier: BASE_TIER.id })).id;
    };
    const newHook = (of: string) =>
      createWebhook(database(), {
        ...{ id: randomUUID(), teamId: of, name: 'ci', url: 'https://a.example/', events: [TYPE] },
        ...{ enabled: true, sealedSecret: 'sealed', activeSince: NOW },
      });
    beforeEach(async () => {
      teamId = await newTeam();
      hook = await newHook(teamId);
    });

    /** The `index`th event of a sandbox. */
    const event = (sandboxId: string, index: number, of: Webhook = hook): OwedEvent => ({
      ...{ webhookId: of.id, eventId: randomUUID(), teamId: of.teamId, sandboxId, eventType: TYPE },
      ...{ eventAt: later(index), body: `{"index":${index}}` },
    });
    const owe = (owed: OwedEvent[], mostPending = 100) =>
      oweEvents(database(), owed, { now: NOW, mostPending });
    /** What of this team is claimed. Teams of other tests have something, too. */
    const claim = async (over: Partial<LeaseOptions> = {}, of = [teamId]) => {
      const options = { now: NOW, leaseMs: 1_000, lease: randomUUID(), perTeam: 8, most: 1_000, ...over };
      const due = await claimDue(database(), options);
      return due.filter((each) => of.includes(each.teamId));
    };
    const states = async (of: Webhook = hook) =>
      (await listOwed(database(), { webhookId: of.id, limit: 100 })).map(({ state }) => state);

    it('belong to a team, change, and go with what they are owed', async () => {
      const other = await newTeam();
      expect(await listWebhooks(database(), teamId)).toEqual([hook]);
      expect(await countWebhooks(database(), other)).toBe(0);
      expect(await findWebhook(database(), hook.id, other)).toBeUndefined();
      expect(await changeWebhook(database(), { id: hook.id, teamId: other }, { name: 'x' })).toBeUndefined();
      const changed = await changeWebhook(database(), hook, { name: 'x', enabled: false });
      expect(changed).toEqual({ ...hook, name: 'x', enabled: false });
      expect(await listListeners(database(), [teamId])).toEqual([]);
      await owe([event('ia', 0)]);
      expect(await deleteWebhook(database(), { id: hook.id, teamId: other })).toBe(false);
      expect(await deleteWebhook(database(), hook)).toBe(true);
      expect(await deleteWebhook(database(), hook)).toBe(false);
      expect(await states()).toEqual([]);
    });

    it('hear of what they listen for, with the time for which their team’s events are kept', async () => {
      const found = await listListeners(database(), [teamId]);
      const { id: webhookId, events, activeSince } = hook;
      expect(found).toEqual([{ webhookId, teamId, events, activeSince, eventsTtlDays: 7 }]);
    });

    it('are owed an event once, however often it is told', async () => {
      const owed = [event('ia', 0), event('ia', 1)];
      await Promise.all([owe(owed), owe(owed)]);
      await owe(owed);
      expect(await states()).toEqual(['pending', 'pending']);
    });

    it('are given up on beyond what may wait', async () => {
      await owe([event('ia', 0), event('ia', 1)], 1);
      await owe([event('ia', 2)], 1);
      expect(await states()).toEqual(['dead', 'dead', 'pending']);
    });

    it('get the events of a sandbox one after another, those of others beside them', async () => {
      const [first, second, other] = [event('ia', 1), event('ia', 2), event('ib', 3)];
      await owe([second, other, first]);
      const due = await claim();
      expect(due.map(({ eventId }) => eventId).sort()).toEqual([first.eventId, other.eventId].sort());
      expect(due.find(({ eventId }) => eventId === first.eventId)).toMatchObject({ ...first, attempts: 0 });
      expect(await claim()).toEqual([]);
      const claimed = due.find(({ eventId }) => eventId === first.eventId);
      if (!claimed) throw new Error('not claimed');
      // Tried again later: what comes behind it waits.
      await settleOwed(database(), claimed, { dueAt: later(500), attempts: 1, error: 'timeout: no answer' });
      expect(await claim({ now: later(499) })).toEqual([]);
      const [again] = await claim({ now: later(500) });
      expect(again).toMatchObject({ eventId: first.eventId, attempts: 1 });
      if (!again) throw new Error('not claimed');
      await settleOwed(database(), again, { state: 'delivered', at: later(500), attempts: 2, error: null });
      expect((await claim({ now: later(501) })).map(({ eventId }) => eventId)).toEqual([second.eventId]);
    });

    it('are claimed by one at a time, until the lease is over', async () => {
      await owe([event('ia', 0)]);
      const claims = await Promise.all([claim(), claim(), claim()]);
      const [lost] = claims.flat();
      expect(claims.flat()).toHaveLength(1);
      const [again] = await claim({ now: later(1_000) });
      expect(again?.eventId).toBe(lost?.eventId);
      if (!lost) throw new Error('not claimed');
      // Whoever was late changes nothing.
      await settleOwed(database(), lost, { state: 'dead', at: later(1_001), attempts: 1, error: 'late' });
      expect(await states()).toEqual(['pending']);
      await dropLeases(database());
      expect(await claim({ now: later(1_001) })).toHaveLength(1);
    });

    it('of one team leave room for those of others', async () => {
      const quiet = await newHook(await newTeam());
      await owe(Array.from({ length: 20 }, (_, index) => event(`i${index}`, index)));
      await owe([event('ia', 30, quiet)]);
      const due = await claim({ perTeam: 3 }, [teamId, quiet.teamId]);
      expect(due.filter((each) => each.teamId === teamId)).toHaveLength(3);
      expect(due.filter((each) => each.teamId === quiet.teamId)).toHaveLength(1);
      // Those under way count.
      expect(await claim({ perTeam: 4 })).toHaveLength(1);
    });

    it('are owed again what was settled', async () => {
      const [dead, delivered, pending] = [event('ia', 0), event('ib', 1), event('ic', 2)];
      await owe([dead, delivered, pending]);
      for (const each of await claim()) {
        if (each.eventId === pending.eventId) continue;
        const state = each.eventId === dead.eventId ? 'dead' : 'delivered';
        await settleOwed(database(), each, {
          state,
          at: NOW,
          attempts: 4,
          error: 'http_error: answered 500',
        });
      }
      const replay = (eventId?: string) =>
        replayOwed(database(), { webhookId: hook.id, eventId, at: later(5) });
      expect(await replay(pending.eventId)).toBe(0);
      expect(await replay(randomUUID())).toBe(0);
      expect(await replay()).toBe(1);
      expect(await replay(delivered.eventId)).toBe(1);
      expect((await claim({ now: later(5) })).map(({ attempts }) => attempts)).toEqual([0, 0]);
    });

    it('that are stopped are sent nothing', async () => {
      await owe([event('ia', 0)]);
      await stopOwed(database(), hook.id, NOW);
      expect(await states()).toEqual(['dead']);
      expect(await claim()).toEqual([]);
    });

    it('forget what was settled long ago or is too much, and what is owed to none', async () => {
      await owe([0, 1, 2, 3].map((index) => event(`i${index}`, index)));
      for (const each of await claim()) {
        const at = later(Number(each.sandboxId.slice(1)));
        await settleOwed(database(), each, { state: 'delivered', at, attempts: 1, error: null });
      }
      await owe([event('ia', 9), { ...event('ia', 9), webhookId: randomUUID() }]);
      await sweepOwed(database(), { before: later(1), mostSettled: 2 });
      const left = await listOwed(database(), { webhookId: hook.id, limit: 100 });
      expect(left.map(({ sandboxId }) => sandboxId)).toEqual(['ia', 'i3', 'i2']);
      expect(await claim()).toHaveLength(1);
    });
  });
}
