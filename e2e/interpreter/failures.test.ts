import { type Sandbox, TimeoutError } from '@e2b/code-interpreter';
import { beforeAll, describe, expect, it } from 'vitest';
import { rejection } from '../sdk/sandbox.ts';
import { until } from '../setup/until.ts';
import { interpreters } from './interpreter.ts';

const create = interpreters();
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await create();
});

const answers = async (language: string) => (await sandbox.runCode('1 + 1', { language })).text;

describe.each([
  {
    language: 'python',
    wrong: 'def f(:',
    endless: 'while True: pass',
    die: 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)',
  },
  {
    language: 'javascript',
    wrong: 'let = = 1',
    endless: 'await null; for (;;);',
    die: 'process.kill(process.pid, "SIGKILL")',
  },
])('$language', ({ language, wrong, endless, die }) => {
  it('says that code is wrong', async () => {
    const { error } = await sandbox.runCode(wrong, { language });
    expect(error).toMatchObject({ name: 'SyntaxError', traceback: expect.stringContaining('^') });
    expect(await answers(language)).toBe('2');
  });

  it('ends a loop when its client goes, and answers the next', async () => {
    expect(await rejection(sandbox.runCode(endless, { language, timeoutMs: 2_000 }))).toBeInstanceOf(
      TimeoutError,
    );
    expect(await answers(language)).toBe('2');
  });

  it('says that its process was killed, and begins anew', async () => {
    expect((await sandbox.runCode(die, { language })).error).toBeDefined();
    expect(await answers(language)).toBe('2');
  });
});

it('runs what comes at once in one context one after the other, and in two side by side', async () => {
  const code = 'import time\nstart = time.time()\ntime.sleep(1)\n[start, time.time()]';
  const runs = await Promise.all([sandbox.runCode(code), sandbox.runCode(code)]);
  const [first, second] = runs
    .map(({ text }) => JSON.parse(text as string) as [number, number])
    .sort((a, b) => a[0] - b[0]);
  expect(second?.[0]).toBeGreaterThanOrEqual(first?.[1] as number);
  const context = await sandbox.createCodeContext();
  const waiting = sandbox.runCode(
    'import os, time\nwhile not os.path.exists("/tmp/go"): time.sleep(0.05)\n"went"',
  );
  expect((await sandbox.runCode('open("/tmp/go", "w").close()', { context })).error).toBeUndefined();
  expect((await waiting).text).toBe('went');
});

it('passes 100 MB of output on, and holds none of it', async () => {
  let characters = 0;
  const { logs, error } = await sandbox.runCode('line = "x" * 9999\nfor _ in range(10_000): print(line)', {
    timeoutMs: 600_000,
    onStdout: ({ line }) => {
      characters += line.length;
    },
  });
  expect([characters, error]).toEqual([100_000_000, undefined]);
  expect(logs.stdout.join('').length).toBe(100_000_000);
  const resident = await sandbox.commands.run(
    "ps -C node -o rss=,args= | grep code-interpreter.mjs | awk '{print $1}'",
    { user: 'root' },
  );
  expect(Number(resident.stdout) / 1024).toBeLessThan(400);
});

it('comes back by itself when its server is killed', async () => {
  await sandbox.commands.run('pkill -9 -f code-interpreter.mjs', { user: 'root' });
  const health = () =>
    sandbox.commands.run('curl -s localhost:49999/health || true').then(({ stdout }) => stdout.trim());
  await until('the server answers again', 60_000, health, (answer) => answer === '"OK"');
  expect(await answers('python')).toBe('2');
});

it.each([
  ['python', 'kept = []\nwhile True: kept.append(bytearray(b"x" * (64 << 20)))'],
  ['python', 'import numpy as np\nnp.ones((1 << 34,)).sum()'],
  ['python', '!python3 -c "kept = [bytes(range(256)) * 262144 for _ in range(1000)]"'],
  ['javascript', 'const kept = []; for (;;) kept.push(Buffer.alloc(64 << 20, 1))'],
  ['r', 'kept <- list(); repeat kept[[length(kept) + 1]] <- runif(8e6)'],
])('ends the context that takes all memory, and nothing else: %s %s', async (language, code) => {
  const other = await sandbox.createCodeContext();
  await sandbox.runCode('kept = 1', { context: other });
  const { error } = await sandbox.runCode(code, { language, timeoutMs: 300_000 });
  expect(error).toMatchObject({
    name: 'UnexpectedEndOfExecution',
    value: expect.stringMatching(/was ended: it held \d+ of the 2048 MiB of the sandbox/),
  });
  expect((await sandbox.runCode('kept', { context: other })).text).toBe('1');
  expect(await answers(language)).toMatch(/2$/);
  await sandbox.removeCodeContext(other);
});

it('tells a client whose sandbox is killed meanwhile', async () => {
  const other = await create();
  const running = rejection(other.runCode('import time; time.sleep(60)'));
  await other.commands.run('sleep 1');
  await other.kill();
  expect(await running).toBeInstanceOf(TimeoutError);
});
