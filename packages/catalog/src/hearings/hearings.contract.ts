import { beforeEach, describe, expect, it } from 'vitest';
import { type Hearings, TELLING_GAP_MS } from './hearings.ts';

const SILENCE_MS = 10_000;

/** What every adapter must do. @param open makes one without any node, by a clock in Unix ms */
export function hearingsContract(name: string, open: (now: () => number) => Promise<Hearings>): void {
  describe(`hearings: ${name}`, () => {
    let now = 0;
    let hearings: Hearings;
    beforeEach(async () => {
      now = 1_700_000_000_000;
      hearings = await open(() => now);
    });
    const hear = (nodeId: string, agoMs = 0) => hearings.heard([{ nodeId, agoMs }]);
    const lose = (nodeId: string) => hearings.lose(nodeId, SILENCE_MS);
    /** Control planes go on telling. */
    const pass = async (ms: number) => {
      for (const end = now + ms; now < end; ) {
        now = Math.min(now + 1_500, end);
        await hearings.heard([]);
      }
    };

    it('lose a node that nobody has heard for so long, at one moment for all', async () => {
      await hear('a', 1_000);
      expect(await lose('a')).toEqual({ isLost: false, leftMs: 9_000 });
      await pass(8_999);
      expect(await lose('a')).toEqual({ isLost: false, leftMs: 1 });
      await pass(1);
      const lost = { isLost: true, sinceMs: now };
      expect(await lose('a')).toEqual(lost);
      await pass(5_000);
      expect(await lose('a')).toEqual(lost);
    });

    it('keep a node that anybody hears, by the last time', async () => {
      await hear('a');
      await pass(9_000);
      await hear('a', 500);
      // Heard before that, and said later.
      await hear('a', 5_000);
      await pass(9_000);
      expect(await lose('a')).toEqual({ isLost: false, leftMs: 500 });
    });

    it('say once who is back, and not for what was heard before the loss', async () => {
      await hear('a');
      await pass(SILENCE_MS);
      expect(await lose('a')).toMatchObject({ isLost: true });
      await pass(100);
      expect(await hear('a', 200)).toEqual([]);
      expect(await lose('a')).toMatchObject({ isLost: true });
      expect(await hearings.heard(['a', 'b'].map((nodeId) => ({ nodeId, agoMs: 0 })))).toEqual(['a']);
      expect(await hear('a')).toEqual([]);
      expect(await lose('a')).toEqual({ isLost: false, leftMs: SILENCE_MS });
    });

    it('give a node that nobody has told of all of the time', async () => {
      expect(await lose('new')).toEqual({ isLost: false, leftMs: SILENCE_MS });
      await pass(SILENCE_MS);
      expect(await lose('new')).toEqual({ isLost: true, sinceMs: now });
    });

    it('lose none as long as it is not known who could not tell', async () => {
      await hear('a');
      now += 60_000;
      expect(await lose('a')).toEqual({ isLost: false, leftMs: TELLING_GAP_MS });
      await hear('b');
      expect(await lose('a')).toEqual({ isLost: false, leftMs: TELLING_GAP_MS });
      await pass(TELLING_GAP_MS);
      expect(await lose('a')).toMatchObject({ isLost: true });
    });
  });
}
