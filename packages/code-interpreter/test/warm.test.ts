import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let directory: string;
let warm: TestInterpreter;
let plain: TestInterpreter;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'islet-warm-'));
  const file = join(directory, 'warm.py');
  await writeFile(file, 'import json.tool\nleft_over = 1\nprint("not for clients")\n');
  [warm, plain] = await Promise.all([startTestInterpreter({ warm: file }), startTestInterpreter()]);
});
afterAll(async () => {
  await Promise.all([warm?.close(), plain?.close()]);
  await rm(directory, { recursive: true, force: true });
});

const STATE =
  'sorted(globals()), [list(map(str, value)) for value in (In, Out, dir(__builtins__))], _, __, get_ipython().execution_count';

it('leaves nothing of its rehearsals in the context but what is imported', async () => {
  // As in a copy that was made ahead, and one that somebody gets.
  await warm.setGeneration('ahead');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await warm.setGeneration('somebody');
  const [one, other] = await Promise.all([warm, plain].map(({ sandbox }) => sandbox.runCode(STATE)));
  expect(one?.error).toBeUndefined();
  expect(one?.executionCount).toBe(1);
  expect(one?.text).toBe(other?.text);
  expect(one?.logs).toEqual({ stdout: ['not for clients\n'], stderr: [] });
  const imported = await Promise.all(
    [warm, plain].map(({ sandbox }) => sandbox.runCode('import sys; "json.tool" in sys.modules')),
  );
  expect(imported.map(({ text }) => text)).toEqual(['True', 'False']);
});
