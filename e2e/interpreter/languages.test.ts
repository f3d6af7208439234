import type { Sandbox } from '@e2b/code-interpreter';
import { beforeAll, expect, it } from 'vitest';
import { rejection } from '../sdk/sandbox.ts';
import { interpreters } from './interpreter.ts';

const create = interpreters();
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await create({ envs: { FROM_CREATE: 'yes' } });
});

it.each([
  {
    language: 'python',
    first: 'import pandas as pd\nframe = pd.DataFrame({"a": [1, 2]})',
    second: 'int(frame.a.sum())',
  },
  {
    language: 'javascript',
    first: 'import os from "os"\nconst a = await Promise.resolve(1)',
    second: 'a + (os.EOL ? 2 : 0)',
  },
  { language: 'ts', first: 'const b: number = 1', second: 'Promise.resolve((b + 2) as number)' },
  { language: 'r', first: 'x <- 1', second: 'x + 2' },
])('runs $language, keeps its state and gives its value', async ({ language, first, second }) => {
  expect((await sandbox.runCode(first, { language })).error).toBeUndefined();
  expect((await sandbox.runCode(second, { language })).text).toMatch(/^(\[1\] )?3$/);
});

it('runs Bash, and tells the status of what failed', async () => {
  await sandbox.runCode('x=3; cd /tmp', { language: 'bash' });
  const { logs, error } = await sandbox.runCode('echo $x $PWD $FROM_CREATE; ls /nowhere', {
    language: 'bash',
  });
  expect(logs.stdout.join('')).toBe('3 /tmp yes\n');
  expect(logs.stderr.join('')).toContain('/nowhere');
  expect(error).toMatchObject({ name: 'ExitStatus', value: '2' });
});

it('draws with matplotlib and R', async () => {
  const { results } = await sandbox.runCode(
    'import matplotlib.pyplot as plt\nplt.plot([1, 2, 4])\nplt.title("up")\nplt.show()',
  );
  expect(results[0]).toMatchObject({
    png: expect.stringMatching(/^iVBOR/),
  });
  const drawn = await sandbox.runCode('library(ggplot2)\nggplot(mtcars, aes(wt, mpg)) + geom_point()', {
    language: 'r',
  });
  expect(drawn.results.some(({ png }) => png?.startsWith('iVBOR'))).toBe(true);
});

it('tells each kind of output when it comes', async () => {
  const heard: string[] = [];
  const execution = await sandbox.runCode(
    'import sys\nprint("out")\nprint("err", file=sys.stderr)\ndisplay("shown")\n1 / 0',
    {
      onStdout: ({ line }) => void heard.push(`out ${line.trim()}`),
      onStderr: ({ line }) => void heard.push(`err ${line.trim()}`),
      onResult: ({ text, isMainResult }) => void heard.push(`result ${text} ${isMainResult}`),
      onError: ({ name, value }) => void heard.push(`error ${name} ${value}`),
    },
  );
  expect(heard.sort()).toEqual([
    'err err',
    'error ZeroDivisionError division by zero',
    'out out',
    'result shown false',
  ]);
  expect(execution.error?.traceback).toContain('1 / 0');
});

it('has variables of the sandbox, and those of a run for its time', async () => {
  for (const [language, code] of [
    ['python', 'import os; print(os.environ.get("FROM_CREATE"), os.environ.get("OF_RUN"))'],
    ['javascript', 'console.log(process.env.FROM_CREATE, process.env.OF_RUN ?? "None")'],
  ] as const) {
    const run = async (envs: Record<string, string>) =>
      (await sandbox.runCode(code, { language, envs })).logs.stdout.join('').trim();
    expect(await run({ FROM_CREATE: `it's "new"`, OF_RUN: '1' })).toBe(`it's "new" 1`);
    expect(await run({})).toBe('yes None');
  }
});

it('makes, lists, restarts and removes contexts', async () => {
  await sandbox.commands.run('mkdir -p /home/user/work');
  const context = await sandbox.createCodeContext({ language: 'javascript', cwd: '/home/user/work' });
  expect(await sandbox.listCodeContexts()).toContainEqual(
    expect.objectContaining({ id: context.id, cwd: '/home/user/work' }),
  );
  await sandbox.runCode('const kept = process.cwd()', { context });
  expect((await sandbox.runCode('kept', { context })).text).toBe('/home/user/work');
  await sandbox.restartCodeContext(context);
  expect((await sandbox.runCode('kept', { context })).error).toMatchObject({ name: 'ReferenceError' });
  await sandbox.removeCodeContext(context);
  expect((await sandbox.listCodeContexts()).map(({ id }) => id)).not.toContain(context.id);
  expect(await rejection(sandbox.runCode('1', { context }))).toMatchObject({
    message: expect.stringContaining('not found'),
  });
});

it('refuses what there is not', async () => {
  expect(await rejection(sandbox.runCode('1', { language: 'cobol' }))).toBeInstanceOf(Error);
  expect(await rejection(sandbox.createCodeContext({ language: 'cobol' }))).toBeInstanceOf(Error);
  expect(await rejection(sandbox.createCodeContext({ cwd: '/nowhere' }))).toBeInstanceOf(Error);
  expect(await rejection(sandbox.restartCodeContext('00000000-0000-4000-8000-000000000000'))).toBeInstanceOf(
    Error,
  );
  expect(await rejection(sandbox.removeCodeContext('00000000-0000-4000-8000-000000000000'))).toBeInstanceOf(
    Error,
  );
});
