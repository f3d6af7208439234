import { randomInt } from 'node:crypto';
import { expect, it, vi } from 'vitest';
import { Lives } from './lives.ts';

vi.mock('node:fs/promises', async (real) => (await import('./files.ts')).faultyFiles(await real()));

const OPERATIONS = Number(process.env.ISLET_LIFECYCLE_OPERATIONS ?? 500);
const SEED = process.env.ISLET_LIFECYCLE_SEED ?? `${randomInt(1e9)}`;

/** Worlds at once: while one waits for what takes its time, the others go on. */
const AT_ONCE = 8;
/** Of one world, before the next one takes its place. */
const STEPS = 60;

it(`does what its model says over ${OPERATIONS} random operations`, { timeout: 600_000 }, async () => {
  let asked = 0;
  let worlds = 0;
  const live = async (seed: string) => {
    await using lives = await Lives.open(seed);
    try {
      for (let steps = 0; steps < STEPS && asked < OPERATIONS; steps++) {
        const operations = await lives.step();
        asked += operations; // Others have counted meanwhile.
      }
      await lives.close();
    } catch (error) {
      const history = lives.history.slice(-40).join('\n  ');
      const again = `ISLET_LIFECYCLE_SEED=${seed} npm run test:lifecycle`;
      throw new Error(`${(error as Error).message}\n${again}\n  ${history}`, { cause: error });
    }
  };
  // The seed of a world is that of the run and a number: it is given to live that one alone.
  if (SEED.includes('.')) return live(SEED);
  const client = async () => {
    while (asked < OPERATIONS) await live(`${SEED}.${worlds++}`);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  console.info(`${asked} operations in ${worlds} worlds, seed ${SEED}`);
  expect(asked).toBeGreaterThanOrEqual(OPERATIONS);
});
