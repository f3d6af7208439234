import fc from 'fast-check';
import { inject, it } from 'vitest';
import { steps } from './model.ts';
import { World } from './world.ts';

const access = inject('islet');
const RUNS = Number(process.env.ISLET_MODEL_RUNS ?? 3);
const RUN_MS = 120_000;

it(`does what its model says over ${RUNS} random lives`, { timeout: RUNS * RUN_MS * 2 }, async () => {
  const seed = process.env.ISLET_MODEL_SEED;
  const property = fc.asyncProperty(steps, async (plan) => {
    await using world = new World(access);
    for (const operations of plan) {
      await world.step(operations);
      await world.expectAsModelled();
    }
  });
  const result = await fc.check(property, {
    numRuns: RUNS,
    ...(seed !== undefined && { seed: Number(seed) }),
    // Sandboxes are real: a shorter counterexample is worth a few minutes, not more.
    interruptAfterTimeLimit: RUNS * RUN_MS,
    markInterruptAsFailure: false,
  });
  if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
});
