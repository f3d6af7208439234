import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  BASE_TIER,
  createTeam,
  type Database,
  findPaused,
  forgetPaused,
  type PausedSandbox,
  reconcilePaused,
  recordPaused,
} from '../src/index.ts';

/** Rows of paused sandboxes in any database. `database` gives it seeded. */
export function pausedContract(database: () => Database): void {
  describe('paused sandboxes', () => {
    const newTeam = async () => {
      const name = `paused-${randomUUID().slice(0, 8)}`;
      return (await createTeam(database(), { name, email: `${name}@example.org`, tier: BASE_TIER.id })).id;
    };
    const paused = (teamId: string, nodeId: string): PausedSandbox => ({
      ...{ sandboxId: randomUUID(), teamId, nodeId, pausedAt: new Date('2026-01-01T00:00:00.123Z') },
    });
    const find = ({ teamId, sandboxId }: PausedSandbox) => findPaused(database(), teamId, sandboxId);

    it('are found by their team alone, on the node that told of them last', async () => {
      const node = randomUUID();
      const one = paused(await newTeam(), node);
      await recordPaused(database(), [one]);
      expect(await find(one)).toEqual(one);
      expect(await findPaused(database(), await newTeam(), one.sandboxId)).toBeUndefined();
      const moved = { ...one, nodeId: randomUUID(), pausedAt: new Date('2026-01-02T00:00:00.000Z') };
      await recordPaused(database(), [moved]);
      expect(await find(one)).toEqual(moved);
      await forgetPaused(database(), node, [one.sandboxId]);
      expect(await find(one)).toEqual(moved);
      await forgetPaused(database(), moved.nodeId, [one.sandboxId]);
      expect(await find(one)).toBeUndefined();
    });

    it('are those that their node reports; those of other nodes stay', async () => {
      const team = await newTeam();
      const [node, other] = [randomUUID(), randomUUID()];
      const [kept, gone, elsewhere] = [paused(team, node), paused(team, node), paused(team, other)];
      await recordPaused(database(), [kept, gone, elsewhere]);
      const many = Array.from({ length: 1_500 }, () => paused(team, node));
      await reconcilePaused(database(), node, [kept, ...many]);
      expect(await find(kept)).toEqual(kept);
      expect(await find(gone)).toBeUndefined();
      expect(await find(elsewhere)).toEqual(elsewhere);
      expect(await find(many.at(-1) as PausedSandbox)).toEqual(many.at(-1));
      await reconcilePaused(database(), node, []);
      for (const each of [kept, ...many.slice(-1)]) expect(await find(each)).toBeUndefined();
    });
  });
}
