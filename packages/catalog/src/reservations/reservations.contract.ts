import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Reservations, START_LEASE_MS } from './reservations.ts';

/**
 * What every adapter must do.
 * @param open makes one that holds nothing; its leases go by `monotonic`, which the suite moves
 */
export function reservationsContract(
  name: string,
  open: (monotonic: () => number) => Promise<Reservations>,
): void {
  describe(`reservations: ${name}`, () => {
    let now = 0;
    let places: Reservations;
    beforeEach(async () => {
      now = 1_000;
      places = await open(() => now);
    });

    const of = (sandboxId: string, teamId = 't') => ({ teamId, sandboxId });
    const on = (nodeId: string, sandboxId: string, teamId = 't') => ({ teamId, sandboxId, nodeId });
    const counts = async () => Object.fromEntries(await places.counts());

    it('gives each team as many places as it may have', async () => {
      expect(await places.take(of('a'), 2)).toBe('taken');
      expect(await places.take(of('b'), 2)).toBe('taken');
      expect(await places.take(of('c'), 2)).toBe('full');
      expect(await places.take(of('c', 'u'), 2)).toBe('taken');
      await places.giveBack(of('a'));
      await places.giveBack(of('a'));
      expect(await places.take(of('d'), 2)).toBe('taken');
      expect(await counts()).toEqual({ t: 2, u: 1 });
    });

    it('gives out no place more than there are, however many ask at once', async () => {
      const asked = Array.from({ length: 200 }, (_, index) => places.take(of(`s${index}`), 37));
      const outcomes = await Promise.all(asked);
      expect(outcomes.filter((outcome) => outcome === 'taken')).toHaveLength(37);
      expect(outcomes.filter((outcome) => outcome === 'full')).toHaveLength(163);
    });

    it('gives a sandbox one place, whoever asks for it', async () => {
      const outcomes = await Promise.all([places.take(of('a'), 9), places.take(of('a'), 9)]);
      expect(outcomes.sort()).toEqual(['held', 'taken']);
      await places.hold(on('n', 'a'));
      expect(await places.take(of('a'), 9)).toBe('held');
      expect(await counts()).toEqual({ t: 1 });
    });

    it('counts what nodes hold, whatever the limit', async () => {
      for (const id of ['a', 'b', 'c']) await places.hold(on('n', id));
      expect(await counts()).toEqual({ t: 3 });
      expect(await places.take(of('d'), 2)).toBe('full');
      await places.release(on('n', 'a'));
      await places.release(on('n', 'b'));
      expect(await places.take(of('d'), 2)).toBe('taken');
    });

    it('does not take from a node what a failed start gives back', async () => {
      await places.take(of('a'), 1);
      await places.hold(on('n', 'a'));
      await places.giveBack(of('a'));
      expect(await counts()).toEqual({ t: 1 });
    });

    it('gives back what its taker died over, and not what a node holds', async () => {
      await places.take(of('starting'), 2);
      await places.take(of('started'), 2);
      await places.hold(on('n', 'started'));
      now += START_LEASE_MS - 1;
      expect(await places.take(of('next'), 2)).toBe('full');
      now += 1;
      expect(await places.take(of('next'), 2)).toBe('taken');
      now += 10 * START_LEASE_MS;
      expect(await counts()).toEqual({ t: 1 });
      // Who was only late begins anew.
      expect(await places.take(of('starting'), 2)).toBe('taken');
    });

    it('lets a node release its own only', async () => {
      await places.hold(on('n', 'a'));
      await places.release(on('m', 'a'));
      expect(await counts()).toEqual({ t: 1 });
      await places.hold(on('m', 'a'));
      await places.release(on('n', 'a'));
      expect(await counts()).toEqual({ t: 1 });
      await places.release(on('m', 'a'));
      expect(await counts()).toEqual({});
    });

    it('makes a node hold what it says, of what it held when it was asked', async () => {
      for (const id of ['kept', 'gone']) await places.hold(on('n', id));
      await places.hold(on('m', 'elsewhere'));
      const mark = await places.mark();
      // It was made when the report was on its way.
      await places.hold(on('n', 'fresh'));
      // Said again, as with every event.
      await places.hold(on('n', 'gone'));
      await places.take(of('starting'), 9);
      await places.reconcile('n', new Set(['kept']), mark);
      expect(await counts()).toEqual({ t: 4 });
      await places.release(on('n', 'gone'));
      expect(await counts()).toEqual({ t: 4 });
      await places.reconcile('n', new Set(), await places.mark());
      expect(await counts()).toEqual({ t: 2 });
    });

    it('counts each sandbox once, whatever the order of events', async () => {
      const event = fc.tuple(
        fc.constantFrom('take', 'giveBack', 'hold', 'release'),
        fc.constantFrom('a', 'b', 'c'),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(event), async (events) => {
          const subject = await open(() => now);
          const model = new Map<string, 'start' | 'node'>();
          for (const [action, id] of events) {
            if (action === 'take') {
              const expected = model.has(id) ? 'held' : model.size >= 2 ? 'full' : 'taken';
              expect(await subject.take(of(id), 2)).toBe(expected);
              if (expected === 'taken') model.set(id, 'start');
            } else if (action === 'giveBack') {
              await subject.giveBack(of(id));
              if (model.get(id) === 'start') model.delete(id);
            } else if (action === 'hold') {
              await subject.hold(on('n', id));
              model.set(id, 'node');
            } else {
              await subject.release(on('n', id));
              if (model.get(id) === 'node') model.delete(id);
            }
          }
          expect((await subject.counts()).get('t') ?? 0).toBe(model.size);
        }),
      );
    });
  });
}
