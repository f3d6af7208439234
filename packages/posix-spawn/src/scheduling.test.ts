import { afterEach, describe, expect, it } from 'vitest';
import { openScheduling, type Schedule } from './scheduling.ts';
import { openPosixSpawn } from './spawn.ts';
import { openWaitpid } from './wait.ts';

const scheduling = openScheduling();
const own = scheduling.get(0);
/** Slices came with Linux 6.12. */
const knowsSlices = own.sliceNs !== undefined;

// Favouring a thread needs root.
describe.runIf(process.getuid?.() === 0)('a schedule', () => {
  afterEach(() => scheduling.set(0, own));

  const favour = (keepsItToItself: boolean) => {
    const schedule: Schedule = { nice: -3, sliceNs: knowsSlices ? 300_000 : undefined, keepsItToItself };
    scheduling.set(0, schedule);
    return schedule;
  };
  /** Of a program that is started now. */
  const inherited = async () => {
    const pid = openPosixSpawn({ session: 'inherited' })({
      file: 'sleep',
      argv: ['sleep', '60'],
      env: { PATH: process.env.PATH },
      steps: [],
    });
    try {
      return scheduling.get(pid);
    } finally {
      process.kill(pid);
      await expect.poll(() => openWaitpid()(pid)).toMatchObject({ pid });
    }
  };

  it('is as it was set', () => {
    const schedule = favour(true);
    expect(scheduling.get(0)).toEqual(schedule);
  });

  it('that a thread keeps to itself is not that of the programs it starts', async () => {
    favour(true);
    expect(await inherited()).toEqual({ ...own, nice: 0, keepsItToItself: false });
  });

  it('is that of the programs it starts otherwise', async () => {
    const schedule = favour(false);
    expect(await inherited()).toEqual(schedule);
  });
});

it('says that there is no such thread', () => {
  expect(() => scheduling.get(2 ** 22)).toThrow(/sched_getattr failed: ESRCH/);
});
