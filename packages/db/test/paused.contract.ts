import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  adoptPaused,
  BASE_TIER,
  claimRun,
  createTeam,
  type Database,
  dropClaim,
  findPaused,
  finishMove,
  finishResume,
  forgetMoves,
  forgetOldClaims,
  forgetPaused,
  forgetResume,
  heardNodes,
  movedFrom,
  noteHeard,
  overAmong,
  type PausedRun,
  type PausedSandbox,
  type PausedTrace,
  passClaim,
  pausedAmong,
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
      ...{ executionId: randomUUID(), shown: '{}' },
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
      await forgetPaused(database(), node, [one]);
      expect(await find(one)).toEqual(moved);
      // Of a run that was over before this one was paused: said too late.
      await forgetPaused(database(), moved.nodeId, [{ ...one, executionId: randomUUID() }]);
      expect(await find(one)).toEqual(moved);
      await forgetPaused(database(), moved.nodeId, [one]);
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
      const again = { ...kept, executionId: randomUUID() };
      await reconcilePaused(database(), node, [again, ...many]);
      expect(await find(kept)).toEqual(again);
      await reconcilePaused(database(), node, [kept, ...many]);
      expect(await find(many.at(-1) as PausedSandbox)).toEqual(many.at(-1));
      await reconcilePaused(database(), node, []);
      for (const each of [kept, ...many.slice(-1)]) expect(await find(each)).toBeUndefined();
    });

    describe('that were paused while nobody heard it', () => {
      const at = (ms: number) => new Date(1_767_225_600_000 + ms);
      const adopt = (node: string, ...of: PausedSandbox[]) => adoptPaused(database(), node, of);

      it('are entered once, whoever finds them at the same time', async () => {
        const [team, node] = [await newTeam(), randomUUID()];
        const many = Array.from({ length: 1_100 }, () => paused(team, node));
        const entered = await Promise.all([1, 2, 3].map(() => adopt(node, ...many)));
        expect(entered.flat().sort()).toEqual(many.map(({ sandboxId }) => sandboxId).sort());
        const [one] = many as [PausedSandbox];
        expect(await find(one)).toEqual(one);
        const asked = [randomUUID(), ...many.map(({ sandboxId }) => sandboxId)];
        expect(await pausedAmong(database(), asked)).toEqual(new Set(asked.slice(1)));
        expect(await heardNodes(database())).toContain(node);
      });

      it('are not entered if they are over, by what was heard of the node before', async () => {
        const [team, node] = [await newTeam(), randomUUID()];
        const known = { ...paused(team, node), pausedAt: at(10) };
        await recordPaused(database(), [known]);
        // What was paused before that, and not heard of, may come still: only what is over counts.
        const early = { ...paused(team, node), pausedAt: at(9) };
        expect(await adopt(node, early)).toEqual([early.sandboxId]);
        await forgetPaused(database(), node, [known], known.pausedAt);
        expect(await adopt(node, known)).toEqual([]);
        const later = { ...paused(team, node), pausedAt: at(11) };
        expect(await adopt(node, known, later)).toEqual([later.sandboxId]);
        await reconcilePaused(database(), node, [early, later], at(20));
        const [unnamed, unheard] = [20, 21].map((ms) => ({ ...paused(team, node), pausedAt: at(ms) }));
        expect(await adopt(node, unnamed as PausedSandbox, unheard as PausedSandbox)).toEqual([
          unheard?.sandboxId,
        ]);
        // Said too late.
        await noteHeard(database(), node, at(5));
        expect(await adopt(node, unnamed as PausedSandbox)).toEqual([]);
        // What is heard of one node says nothing of another.
        const other = { ...paused(team, randomUUID()), pausedAt: at(1) };
        expect(await adopt(other.nodeId, other)).toEqual([other.sandboxId]);
      });

      it('are over once they were heard of and have neither a row nor a claim', async () => {
        const [team, node] = [await newTeam(), randomUUID()];
        const run = (ms: number) => {
          const { executionId, ...rest } = { ...paused(team, node), pausedAt: at(ms) };
          return { ...rest, executionId: executionId ?? '' };
        };
        const over = async (...runs: PausedTrace[]) =>
          (await overAmong(database(), runs)).map(({ sandboxId }) => sandboxId);
        const [early, moving, last, unheard] = [run(9), run(9), run(10), run(11)];
        const all = [early, moving, last, unheard];
        expect(await over(...all)).toEqual([]);
        await recordPaused(database(), [early, moving, last]);
        await claimRun(database(), { ...moving, holderId: 'holder', claimedAt: at(0) });
        await forgetPaused(database(), node, [last], at(10));
        expect(await over(...all)).toEqual([last.sandboxId]);
        // Another run of it is what is paused now.
        expect(await over({ ...early, executionId: randomUUID() })).toEqual([early.sandboxId]);
        await forgetPaused(database(), node, [early, moving], at(10));
        expect(await over(...all)).toEqual([early.sandboxId, last.sandboxId]);
        await finishMove(database(), moving, 'holder');
        await forgetMoves(database(), node, [moving.sandboxId]);
        expect(await over(...all)).toEqual([early.sandboxId, moving.sandboxId, last.sandboxId]);
        // Of another node nothing is heard.
        expect(await over({ ...last, nodeId: randomUUID() })).toEqual([]);
      });

      it('are not entered if they are known otherwise, or nobody has them', async () => {
        const [team, node] = [await newTeam(), randomUUID()];
        const elsewhere = paused(team, randomUUID());
        await recordPaused(database(), [elsewhere]);
        expect(await adopt(node, { ...elsewhere, nodeId: node })).toEqual([]);
        expect(await find(elsewhere)).toEqual(elsewhere);
        const [orphan, owned] = [paused(randomUUID(), node), paused(team, node)];
        expect(await adopt(node, orphan, owned)).toEqual([owned.sandboxId]);
      });

      it('are not entered once they were moved, also after the node has freed them', async () => {
        const [team, node] = [await newTeam(), randomUUID()];
        const [moved, older, newer] = [10, 9, 11].map((ms) => ({ ...paused(team, node), pausedAt: at(ms) }));
        if (!moved || !older || !newer) throw new Error('three were made');
        const run = { ...moved, executionId: moved.executionId ?? '' };
        await claimRun(database(), { ...run, holderId: 'holder', claimedAt: at(0) });
        expect(await adopt(node, moved)).toEqual([]);
        await finishMove(database(), run, 'holder');
        expect(await adopt(node, moved)).toEqual([]);
        await forgetMoves(database(), node, [moved.sandboxId]);
        expect(await adopt(node, moved, older, newer)).toEqual([newer.sandboxId]);
      });
    });

    describe('that nodes go on with', () => {
      const run = () => ({ sandboxId: randomUUID(), executionId: randomUUID(), nodeId: randomUUID() });
      const claimedAt = new Date('2026-01-01T00:00:00.123Z');
      const claim = (of: PausedRun, holderId: string) => claimRun(database(), { ...of, holderId, claimedAt });

      it('go on at one, whoever asks at the same time', async () => {
        const paused = run();
        const holders = Array.from({ length: 20 }, () => randomUUID());
        const stand = await Promise.all(holders.map((holder) => claim(paused, holder)));
        expect(new Set(stand.map(({ holderId }) => holderId)).size).toBe(1);
        expect(stand[0]).toEqual({
          ...{ ...paused, holderId: stand[0]?.holderId, claimedAt },
          ...{ pausedAt: null, isDone: false },
        });
        // Another run of it, and the same run on the node that has it now.
        const [executionId, nodeId] = [randomUUID(), randomUUID()];
        for (const other of [
          { ...paused, executionId },
          { ...paused, nodeId },
        ]) {
          expect((await claim(other, 'another')).holderId).toBe('another');
        }
      });

      it('can be passed on once, and given up by the holder alone', async () => {
        const paused = run();
        const first = await claim(paused, 'first');
        const now = new Date('2026-01-02T00:00:00.000Z');
        const passed = await Promise.all(['a', 'b', 'c'].map((to) => passClaim(database(), first, to, now)));
        expect(passed.filter(Boolean)).toHaveLength(1);
        await dropClaim(database(), paused, 'first');
        const { holderId } = await claim(paused, 'second');
        expect(['a', 'b', 'c']).toContain(holderId);
        await dropClaim(database(), paused, holderId);
        expect((await claim(paused, 'second')).holderId).toBe('second');
      });

      it('are taken back by the node that has gone on with them, unless their move is done', async () => {
        const [now, quiet, moving, moved] = [new Date(), run(), run(), run()];
        for (const paused of [quiet, moving, moved]) {
          await claim(paused, paused.nodeId);
          const own = { ...paused, holderId: paused.nodeId, claimedAt, isDone: false };
          if (paused !== quiet) expect(await passClaim(database(), own, 'holder', now)).toBe(true);
        }
        expect(await finishMove(database(), moved, 'holder')).toBe(true);
        expect(await finishResume(database(), quiet, now)).toBe(true);
        expect(await finishResume(database(), moving, now)).toBe(true);
        // Nobody may go on with that run any more, and no node has to free it.
        expect(await claim(quiet, 'another')).toMatchObject({ holderId: quiet.nodeId, isDone: true });
        expect(await movedFrom(database(), quiet.nodeId)).toEqual([]);
        await forgetResume(database(), quiet);
        expect(await claim(quiet, 'another')).toMatchObject({ holderId: 'another' });
        expect(await finishMove(database(), moving, 'holder')).toBe(false);
        expect(await finishResume(database(), moved, now)).toBe(false);
      });

      it('are forgotten in the end if nobody says what became of that', async () => {
        const team = await newTeam();
        const before = new Date(claimedAt.getTime() + 1);
        const claims = async (of: PausedRun) =>
          (await claimRun(database(), { ...of, holderId: 'asks', claimedAt: before })).holderId !== 'asks';
        const [unheard, resumed, resumedRow, moving, movingRow, moved, fresh] = Array.from(
          { length: 7 },
          run,
        );
        const own = [unheard, resumed, resumedRow] as PausedRun[];
        for (const each of own) await claim(each, each.nodeId);
        for (const each of [moving, movingRow, moved] as PausedRun[]) await claim(each, 'holder');
        await claimRun(database(), { ...(fresh as PausedRun), holderId: 'holder', claimedAt: before });
        for (const each of [resumed, resumedRow] as PausedRun[]) await finishResume(database(), each, before);
        await finishMove(database(), moved as PausedRun, 'holder');
        const rows = [unheard, resumedRow, movingRow] as PausedRun[];
        await recordPaused(
          database(),
          rows.map((each) => ({ ...each, teamId: team, pausedAt: claimedAt, shown: null })),
        );
        await forgetOldClaims(database(), before);
        for (const each of [unheard, resumed, moving] as PausedRun[]) expect(await claims(each)).toBe(false);
        for (const each of [resumedRow, movingRow, moved, fresh] as PausedRun[]) {
          expect(await claims(each)).toBe(true);
        }
      });

      it('are remembered when they have moved, until their node has freed them', async () => {
        const [moved, other] = [run(), run()];
        await claim(moved, 'holder');
        expect(await movedFrom(database(), moved.nodeId)).toEqual([]);
        await finishMove(database(), moved, 'nobody');
        expect(await movedFrom(database(), moved.nodeId)).toEqual([]);
        await finishMove(database(), moved, 'holder');
        await dropClaim(database(), moved, 'holder');
        expect(await movedFrom(database(), moved.nodeId)).toEqual([moved.sandboxId]);
        expect(
          await passClaim(
            database(),
            { ...moved, holderId: 'holder', claimedAt, isDone: false },
            'x',
            claimedAt,
          ),
        ).toBe(false);
        await forgetMoves(database(), other.nodeId, [moved.sandboxId]);
        await forgetMoves(database(), moved.nodeId, []);
        expect(await movedFrom(database(), moved.nodeId)).toEqual([moved.sandboxId]);
        await forgetMoves(database(), moved.nodeId, [moved.sandboxId]);
        expect(await movedFrom(database(), moved.nodeId)).toEqual([]);
      });
    });
  });
}
