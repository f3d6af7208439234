import { describe, expect, it } from 'vitest';
import { guarded } from './guard.ts';
import { mutate, seededRandom } from './mutate.ts';
import { DEFAULT_MAX_BYTES } from './target.ts';
import { crashesDir, filesIn, loadTarget, seedsDir, targetNames } from './targets.ts';

/** Made from the seeds, the same ones each time: `npm run fuzz` looks for others. */
const GENERATED = 2_000;
/** Of a test: some targets are slower than others. */
const MOST_MS = 700;

for (const name of targetNames()) {
  const target = await loadTarget(name);
  const isOut = target.needsRoot === true && process.getuid?.() !== 0;
  describe.skipIf(isOut)(name, () => {
    const run = guarded(target);
    const kept = [...filesIn(seedsDir(name)), ...filesIn(crashesDir(name))];
    const longest = target.maxBytes ?? DEFAULT_MAX_BYTES;

    it('has seeds, and keeps its promises for all of them', async () => {
      expect(kept).not.toEqual([]);
      for (const { path, bytes } of kept) await explained(path, bytes, run);
      await run(Buffer.alloc(0));
    });

    it('takes no more than linear time for long ones', async () => {
      const end = performance.now() + MOST_MS;
      for (const { path, bytes } of kept) {
        if (performance.now() > end) break;
        const times = Math.floor(longest / Math.max(bytes.length, 1));
        await explained(`${path}, ${times} times`, Buffer.concat(Array(times).fill(bytes)), run);
      }
    });

    it('keeps its promises for what is made of them', async () => {
      const random = seededRandom(1);
      const seeds = kept.map(({ bytes }) => bytes);
      const end = performance.now() + MOST_MS;
      for (let i = 0; i < GENERATED && performance.now() < end; i++) {
        const input = mutate(seeds[i % seeds.length] as Buffer, random, seeds, longest);
        await explained(`input ${i}`, input, run);
      }
    });
  });
}

/** Says which input it was. */
async function explained(
  input: string,
  bytes: Buffer,
  run: (bytes: Buffer) => void | Promise<void>,
): Promise<void> {
  try {
    await run(bytes);
  } catch (error) {
    const shown = bytes.subarray(0, 512).toString('base64');
    throw new Error(`${input} (${bytes.length} bytes, ${shown}): ${(error as Error).message}`, {
      cause: error,
    });
  }
}
