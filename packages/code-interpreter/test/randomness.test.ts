import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LanguageHost } from '../src/index.ts';
import { python, startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let interpreter: TestInterpreter;
let generations = 0;

beforeAll(async () => {
  interpreter = await startTestInterpreter();
});

afterAll(() => interpreter?.close());

const run = async (code: string) => (await interpreter.sandbox.runCode(code)).text;
const copy = () => interpreter.setGeneration(`copy ${++generations}`);

/** Draws from a generator in two copies that go on from the same state: the state is put back between the two. */
async function drawnInTwoCopies(set: string, save: string, restore: string, draw: string) {
  await interpreter.sandbox.runCode(`${set}\nsaved = ${save}`);
  const drawn: Array<string | undefined> = [];
  for (let n = 0; n < 2; n++) {
    // By calls that are not wrapped: a copy of memory does not go through them either.
    await interpreter.sandbox.runCode(restore);
    await copy();
    drawn.push(await run(draw));
  }
  return drawn;
}

const STANDARD = [
  'random._inst.__class__.__mro__[1].getstate(random._inst)',
  'random._inst.__class__.__mro__[1].setstate(random._inst, saved)',
] as const;
const LEGACY = ['np.random.mtrand._rand.get_state()', 'np.random.mtrand._rand.set_state(saved)'] as const;
const DEFAULT = ['rng.bit_generator.state', 'rng.bit_generator.state = saved'] as const;

it.each([
  ['random', 'import random; random.seed()', ...STANDARD, 'random.random()'],
  ["numpy's legacy generator", 'import numpy as np', ...LEGACY, 'np.random.rand()'],
  [
    "numpy's default generators",
    'import numpy as np; rng = np.random.default_rng()',
    ...DEFAULT,
    'rng.random()',
  ],
])('draws other numbers in each copy: %s', async (_what, set, save, restore, draw) => {
  const [one, other] = await drawnInTwoCopies(set, save, restore, draw);
  expect(Number(one)).toBeGreaterThanOrEqual(0);
  expect(one).not.toBe(other);
});

it.each([
  ['random', 'import random; random.seed(7)', ...STANDARD, 'random.random()'],
  ["numpy's legacy generator", 'import numpy as np; np.random.seed(7)', ...LEGACY, 'np.random.rand()'],
  [
    "numpy's default generators",
    'import numpy as np; rng = np.random.default_rng(7)',
    ...DEFAULT,
    'rng.random()',
  ],
])('goes on as the code has seeded it in every copy: %s', async (_what, set, save, restore, draw) => {
  const [one, other] = await drawnInTwoCopies(set, save, restore, draw);
  expect(Number(one)).toBeGreaterThanOrEqual(0);
  expect(one).toBe(other);
});

it('seeds as Python and numpy do', async () => {
  expect(await run('import random; random.seed(1); [random.randrange(100) for _ in range(3)]')).toBe(
    '[17, 72, 97]',
  );
  expect(await run('import numpy as np; np.random.seed(1); int(np.random.randint(100))')).toBe('37');
  expect(
    await run(
      'import pickle; r = np.random.default_rng(); pickle.loads(pickle.dumps(r)).random() == r.random()',
    ),
  ).toBe('True');
  expect(await run('random.Random(3).random() == random.Random(3).random()')).toBe('True');
  expect(
    await run('s = random.getstate(); a = random.random(); random.setstate(s); a == random.random()'),
  ).toBe('True');
});

it('is seeded anew in the middle of a cell, if the copy begins there', async () => {
  const cell = interpreter.sandbox.runCode(`
import random, time
random.seed()
before = random.getstate()
for _ in range(300):
    time.sleep(0.1)
    if random.getstate() != before: break
random.getstate() != before`);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await copy();
  expect((await cell).text).toBe('True');
});

it('is reseeded by the host itself, before the next cell', async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'islet-randomness-'));
  const host: LanguageHost = python();
  try {
    await host.start({ cwd, env: { PATH: '/usr/bin:/bin', HOME: cwd } });
    const states: string[] = [];
    const note = async () => {
      const code = 'import random, zlib; print(zlib.crc32(repr(random.getstate()).encode()))';
      await host.execute({ code, env: {}, envAfter: {}, isRehearsal: false }, (output) => {
        if (output.type === 'stdout') states.push(output.text);
      });
    };
    await note();
    await note();
    await host.reseed();
    await note();
    expect(states[0]).toBe(states[1]);
    expect(states[2]).not.toBe(states[0]);
  } finally {
    await host.close();
    await rm(cwd, { recursive: true, force: true });
  }
});
