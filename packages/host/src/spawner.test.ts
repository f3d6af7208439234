import { openScheduling, type Schedule } from '@islet/posix-spawn';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openSpawner, type ProgramStart, type Spawner } from './spawner.ts';

const scheduling = openScheduling();
const own = scheduling.get(0);
const SLEEP: ProgramStart = {
  ...{ file: 'sleep', args: ['60'] },
  ...{ stdin: undefined, stdout: undefined, stderr: undefined },
};

let spawner: Spawner;
beforeEach(() => {
  spawner = openSpawner();
});
afterEach(() => {
  spawner.close();
  scheduling.set(0, own);
});

async function scheduleOf(program: ProgramStart): Promise<Schedule> {
  const { pid, ended } = spawner.start(program);
  const schedule = scheduling.get(pid);
  process.kill(pid);
  await ended;
  return schedule;
}

// Slices came with Linux 6.12, and to favour a thread needs root.
it.runIf(own.sliceNs !== undefined && process.getuid?.() === 0)(
  'gives a program the slice that was asked for, and nothing of what this thread keeps to itself',
  async () => {
    const favoured: Schedule = { nice: -3, sliceNs: 200_000, keepsItToItself: true };
    scheduling.set(0, favoured);
    expect(await scheduleOf({ ...SLEEP, sliceNs: 400_000 })).toEqual({
      ...{ nice: 0, sliceNs: 400_000, keepsItToItself: false },
    });
    expect(scheduling.get(0)).toEqual(favoured);
    expect((await scheduleOf(SLEEP)).sliceNs).not.toBe(200_000);
  },
);
