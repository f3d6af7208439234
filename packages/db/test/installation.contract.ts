import { describe, expect, it } from 'vitest';
import { type Database, settleFact } from '../src/index.ts';

export function installationContract(get: () => Database): void {
  describe('facts of the installation', () => {
    it('keep the value that was given first, whoever comes at the same time', async () => {
      const given = ['a', 'b', 'c', 'd'];
      const held = await Promise.all(given.map((value) => settleFact(get(), 'race', value)));
      expect(new Set(held).size).toBe(1);
      expect(given).toContain(held[0]);
      expect(await settleFact(get(), 'race', 'later')).toBe(held[0]);
      expect(await settleFact(get(), 'another', 'later')).toBe('later');
    });
  });
}
