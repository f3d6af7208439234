import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  BASE_TIER,
  createTeam,
  createVolume,
  type Database,
  deleteVolume,
  findVolume,
  findVolumesByName,
  listVolumes,
  type NewVolume,
  volumeUse,
  whileCounted,
} from '../src/index.ts';

/** Volumes in any database. `database` gives it seeded. */
export function volumesContract(database: () => Database): void {
  describe('volumes', () => {
    const newTeam = async () => {
      const name = `volumes-${randomUUID().slice(0, 8)}`;
      return (await createTeam(database(), { name, email: `${name}@example.org`, tier: BASE_TIER.id })).id;
    };
    const volume = (teamId: string, name: string): NewVolume => ({
      id: randomUUID(),
      teamId,
      name,
      sizeMb: 64,
      nodeId: 'node-1',
    });

    it('belong to a team, within which their names are unique', async () => {
      const [ours, theirs] = [await newTeam(), await newTeam()];
      const first = volume(ours, 'data');
      expect(await createVolume(database(), first)).toMatchObject(first);
      expect(await createVolume(database(), volume(ours, 'data'))).toBeUndefined();
      expect(await createVolume(database(), volume(theirs, 'data'))).toMatchObject({ teamId: theirs });
      expect(await findVolume(database(), ours, first.id)).toMatchObject(first);
      expect(await findVolume(database(), theirs, first.id)).toBeUndefined();
      await createVolume(database(), volume(ours, 'more'));
      expect((await listVolumes(database(), ours)).map(({ name }) => name)).toEqual(['data', 'more']);
      const found = await findVolumesByName(database(), ours, ['more', 'none', 'data']);
      expect(found.map(({ name }) => name).sort()).toEqual(['data', 'more']);
    });

    it('are counted, with what they may hold, one maker at a time', async () => {
      const team = await newTeam();
      const make = (name: string) =>
        whileCounted(database(), team, async (tx) => {
          if ((await volumeUse(tx, team)).count === 2) return 'too many';
          return createVolume(tx, volume(team, name));
        });
      const results = await Promise.all(['a', 'b', 'c', 'd'].map(make));
      expect(results.filter((result) => result === 'too many')).toHaveLength(2);
      expect(await volumeUse(database(), team)).toEqual({ count: 2, megabytes: 128 });
    });

    it('give their names back when they are deleted', async () => {
      const team = await newTeam();
      const first = volume(team, 'data');
      await createVolume(database(), first);
      await deleteVolume(database(), first.id);
      await deleteVolume(database(), first.id);
      expect(await findVolume(database(), team, first.id)).toBeUndefined();
      expect(await createVolume(database(), volume(team, 'data'))).toMatchObject({ name: 'data' });
    });
  });
}
