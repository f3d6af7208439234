import { Sandbox, TimeoutError } from '@e2b/code-interpreter';
import { expect, inject, it } from 'vitest';
import { rejection } from '../sdk/sandbox.ts';
import { interpreters, withForks } from './interpreter.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };
const create = interpreters();

/** Draws from each generator; the `seeded` ones were given a seed by the code. */
const DRAW_PYTHON =
  '[random.random(), float(np.random.random()), float(free.random()), seeded.random(), float(numbers.random())]';
const DRAW_NODE =
  '[Math.random(), crypto.randomUUID(), require("crypto").randomBytes(8).toString("hex")].join()';
const DRAW_R = 'runif(1)';

it('goes on after a pause with all it had', async () => {
  const sandbox = await create();
  await sandbox.runCode(
    'import numpy as np\nframe = np.arange(5_000_000)\ndef total(): return int(frame.sum())',
  );
  await sandbox.runCode('let counter = 1; const add = () => ++counter', { language: 'js' });
  await sandbox.runCode('n=1', { language: 'bash' });
  await sandbox.pause();
  const again = await Sandbox.connect(sandbox.sandboxId, connection);
  expect((await again.runCode('total()')).text).toBe('12499997500000');
  expect((await again.runCode('add()', { language: 'js' })).text).toBe('2');
  expect((await again.runCode('echo $n', { language: 'bash' })).logs.stdout.join('')).toBe('1\n');
  expect((await again.runCode('total()')).executionCount).toBe(3);
});

it('goes on in forks, each from the same state, with random numbers of its own but for those that code has seeded', async () => {
  const sandbox = await create();
  await sandbox.runCode(
    'import random, numpy as np\nframe = np.arange(10)\nrandom.random(); np.random.random()\nfree = np.random.default_rng()\nseeded = random.Random(7)\nnumbers = np.random.default_rng(7)',
  );
  await sandbox.runCode('let state = 5; Math.random()', { language: 'js' });
  await sandbox.runCode('runif(1)', { language: 'r' });
  await withForks(sandbox, 3, async (forks) => {
    const draws = await Promise.all(
      [sandbox, ...forks].map(async (each, index) => {
        expect((await each.runCode('frame *= 2\nint(frame.sum())')).text).toBe('90');
        expect((await each.runCode(`state += ${index}; state`, { language: 'js' })).text).toBe(
          String(5 + index),
        );
        const python = await each.runCode(DRAW_PYTHON);
        const node = await each.runCode(DRAW_NODE, { language: 'js' });
        const r = await each.runCode(DRAW_R, { language: 'r' });
        return { python: JSON.parse(python.text as string) as number[], node: node.text, r: r.text };
      }),
    );
    const kinds = <T>(of: (draw: (typeof draws)[number]) => T) => new Set(draws.map(of)).size;
    for (const generator of [0, 1, 2]) expect(kinds(({ python }) => python[generator])).toBe(4);
    for (const generator of [3, 4]) expect(kinds(({ python }) => python[generator])).toBe(1);
    for (const part of [0, 1, 2]) expect(kinds(({ node }) => node?.split(',')[part])).toBe(4);
    expect(kinds(({ r }) => r)).toBe(4);
  });
});

it('breaks a run off that a fork cuts, which is interrupted, and answers the next one, in both', async () => {
  const sandbox = await create();
  await sandbox.runCode('import threading, time\nstate = []\nthreads = 0');
  // The threads of cells go on, and are the way to do what is not to be cut.
  const lasting = 'def work():\n  global threads\n  while True:\n    threads += 1; time.sleep(0.01)';
  await sandbox.runCode(`${lasting}\nthreading.Thread(target=work, daemon=True).start()`);
  const heard: string[] = [];
  const code =
    'state.append("begun"); print("begun", flush=True)\ntry:\n  while True: time.sleep(0.05)\nfinally:\n  state.append("ended")';
  const running = rejection(sandbox.runCode(code, { onStdout: ({ line }) => void heard.push(line) }));
  await expect.poll(() => heard).toEqual(['begun\n']);
  await withForks(sandbox, 1, async ([fork]) => {
    const error = await running;
    expect(error).toMatchObject({ name: 'TypeError', message: 'terminated' });
    expect(error).not.toBeInstanceOf(TimeoutError);
    for (const each of [sandbox, fork as Sandbox]) {
      expect((await each.runCode('state')).text).toBe("['begun', 'ended']");
      const { text } = await each.runCode('before = threads\ntime.sleep(1)\nthreads > before');
      expect(text).toBe('True');
    }
  });
});

it('keeps what a context has though its run was cut off by a pause, however long that lasts', {
  tags: 'long',
}, async () => {
  const sandbox = await create();
  await sandbox.runCode('kept = 1');
  // It does not end by the interrupt before it is saved; then it does, but by a clock on which more time has passed than it gets.
  const running = rejection(
    sandbox.runCode(
      'import time\nopen("/tmp/begun", "w").close()\ntry:\n  while True: time.sleep(0.05)\nexcept KeyboardInterrupt:\n  for _ in range(20_000_000): pass',
    ),
  );
  await sandbox.commands.run('until [ -e /tmp/begun ]; do sleep 0.1; done');
  await sandbox.pause();
  expect(await running).toBeInstanceOf(Error);
  await new Promise((resolve) => setTimeout(resolve, 7_000));
  const again = await Sandbox.connect(sandbox.sandboxId, connection);
  expect((await again.runCode('kept')).text).toBe('1');
});

it('starts from a snapshot of a kernel that has been at work', async () => {
  const sandbox = await create();
  await sandbox.runCode('model = {"trained": True}');
  const { snapshotId } = await sandbox.createSnapshot();
  const next = await Sandbox.create(snapshotId, connection);
  try {
    expect((await next.runCode('model["trained"]')).text).toBe('True');
  } finally {
    await next.kill();
    await Sandbox.deleteSnapshot(snapshotId, connection);
  }
});
