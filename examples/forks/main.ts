import { Sandbox } from '@e2b/code-interpreter';

/** Done once: data that took a while to make, and how a model of them is judged. */
const PREPARE = `
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split

random = np.random.default_rng(3)
inputs = random.uniform(-3, 3, (2000, 6))
outputs = np.sin(inputs[:, 0]) * inputs[:, 1] + inputs[:, 2] ** 2 + random.normal(0, 0.3, 2000)
train_in, test_in, train_out, test_out = train_test_split(inputs, outputs, random_state=0)

def score(depth):
    model = RandomForestRegressor(n_estimators=30, max_depth=depth, random_state=0)
    return round(float(model.fit(train_in, train_out).score(test_in, test_out)), 3)
`;

const DEPTHS = [1, 2, 3, 4, 6, 8, 12, 16];

const sandbox = await Sandbox.create();
const running = [sandbox];
try {
  const prepared = await sandbox.runCode(PREPARE);
  if (prepared.error) throw new Error(prepared.error.traceback);

  // Eight kernels that go on from here, each with its own copy of everything. Without a time they would live for 15 seconds.
  const forks = await sandbox.fork({ count: DEPTHS.length, timeoutMs: 300_000 });
  const variants = forks.map((fork) => {
    if (fork instanceof Error) throw fork;
    running.push(fork);
    return fork;
  });

  const scores = await Promise.all(
    variants.map(async (variant, index) => {
      const { text, error } = await variant.runCode(`score(${DEPTHS[index]})`);
      if (error) throw new Error(error.traceback);
      return { depth: DEPTHS[index], score: Number(text) };
    }),
  );
  console.table(scores);
  const best = scores.reduce((one, other) => (other.score > one.score ? other : one));
  console.log(`The best depth is ${best.depth}: ${best.score}`);
} finally {
  await Promise.all(running.map((one) => one.kill()));
}
