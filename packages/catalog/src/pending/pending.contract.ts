import { beforeEach, describe, expect, it } from 'vitest';
import { PENDING_LEASE_MS, type Pending } from './pending.ts';

/** What every adapter must do. @param open makes one with nothing in it, by a clock in ms */
export function pendingContract(name: string, open: (monotonic: () => number) => Promise<Pending>): void {
  describe(`pending: ${name}`, () => {
    let now = 0;
    let pending: Pending;
    beforeEach(async () => {
      now = 1_000;
      pending = await open(() => now);
    });

    it('tells whoever adds something of all that the team has, until it is removed', async () => {
      expect(await pending.add('t', ['a'])).toEqual(['a']);
      expect((await pending.add('t', ['b', 'c'])).sort()).toEqual(['a', 'b', 'c']);
      expect(await pending.add('other', ['x'])).toEqual(['x']);
      await pending.remove('t', ['a', 'c', 'never']);
      await pending.remove('nobody', ['a']);
      expect(await pending.add('t', ['b'])).toEqual(['b']);
      await pending.remove('t', []);
      expect((await pending.add('t', ['d'])).sort()).toEqual(['b', 'd']);
    });

    it('has one of two that come at the same time see the other', async () => {
      const ids = Array.from({ length: 20 }, (_, index) => `s${index}`);
      const seen = await Promise.all(ids.map((id) => pending.add('t', [id])));
      expect(seen.map(({ length }) => length).sort((a, b) => a - b)).toEqual(
        ids.map((_, index) => index + 1),
      );
    });

    it('forgets what nobody has removed, after a while', async () => {
      await pending.add('t', ['left']);
      now += PENDING_LEASE_MS - 1;
      expect((await pending.add('t', ['again'])).sort()).toEqual(['again', 'left']);
      now += 1;
      expect(await pending.add('t', ['again'])).toEqual(['again']);
    });
  });
}
