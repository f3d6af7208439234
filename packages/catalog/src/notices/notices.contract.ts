import { describe, expect, it } from 'vitest';
import type { Notices, Topic } from './notices.ts';

/**
 * What every adapter must do.
 * @param open makes those of two control planes that share them
 */
export function noticesContract(name: string, open: () => Promise<[Notices, Notices]>): void {
  describe(`notices: ${name}`, () => {
    /** Counts what is heard; a watch may begin behind the call, and then calls its listener. */
    const listen = async (notices: Notices, topic: Topic) => {
      const heard = { count: 0, end: () => {} };
      heard.end = notices.watch(topic, () => heard.count++);
      const before = heard.count;
      await expect
        .poll(async () => {
          await notices.tell(topic);
          return heard.count;
        })
        .toBeGreaterThan(before);
      return heard;
    };

    it('are heard by all who watch, whoever tells them, and by nobody who has ended that', async () => {
      const [one, two] = await open();
      const all = [await listen(one, 'members'), await listen(one, 'members'), await listen(two, 'members')];
      const [first, , third] = all;
      for (const teller of [one, two]) {
        const before = all.map(({ count }) => count);
        await teller.tell('members');
        await expect.poll(() => all.every(({ count }, index) => count > (before[index] ?? 0))).toBe(true);
      }
      first?.end();
      const [ended, others] = [first?.count, third?.count ?? 0];
      await one.tell('members');
      await expect.poll(() => third?.count).toBeGreaterThan(others);
      expect(first?.count).toBe(ended);
    });

    it('are of their topic alone', async () => {
      const [one, two] = await open();
      const [members, standings] = [await listen(one, 'members'), await listen(one, 'standings')];
      const [before, others] = [members.count, standings.count];
      await two.tell('standings');
      await expect.poll(() => standings.count).toBeGreaterThan(others);
      expect(members.count).toBe(before);
    });
  });
}
