import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Context, NotFoundError, SandboxError, TimeoutError } from '@e2b/code-interpreter';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let interpreter: TestInterpreter;

beforeAll(async () => {
  interpreter = await startTestInterpreter();
});

afterAll(() => interpreter?.close());

const sdk = () => interpreter.sandbox;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A cell that runs for long, and says when it has begun. */
const begun = (context: Context, onBegin: () => void) =>
  sdk().runCode('import time; print("on"); time.sleep(60)', { context, onStdout: onBegin });

describe('contexts', () => {
  it('are listed in the order of their making, and go', async () => {
    const [first] = await sdk().listCodeContexts();
    expect(first).toMatchObject({ language: 'python', cwd: interpreter.home });
    const made = await sdk().createCodeContext({ language: ' Python ', cwd: '/tmp' });
    expect(made).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/), language: 'python', cwd: '/tmp' });
    expect((await sdk().listCodeContexts()).map(({ id }) => id)).toEqual([first?.id, made.id]);
    await sdk().removeCodeContext(made);
    await expect(sdk().runCode('1', { context: made })).rejects.toThrow(
      new NotFoundError(`Context ${made.id} not found`),
    );
    await expect(sdk().removeCodeContext(made)).rejects.toThrow(NotFoundError);
    await expect(sdk().restartCodeContext('none')).rejects.toThrow(
      new NotFoundError('Context none not found'),
    );
  });

  it('work in their directory, which may have any name, and have their own state', async () => {
    const cwd = join(interpreter.home, `it's "odd" $(x) ä`);
    await mkdir(cwd);
    const context = await sdk().createCodeContext({ cwd });
    expect(
      (await sdk().runCode('import os; os.getcwd() == os.environ.get("none", os.getcwd())', { context }))
        .text,
    ).toBe('True');
    expect((await sdk().runCode('print(os.getcwd())', { context })).logs.stdout.join('')).toBe(`${cwd}\n`);
    await sdk().runCode('mine = 1', { context });
    expect((await sdk().runCode('mine')).error?.name).toBe('NameError');
    await sdk().removeCodeContext(context);
    await expect(sdk().createCodeContext({ cwd: '/nowhere' })).rejects.toThrow(
      new SandboxError('500 Internal Server Error'),
    );
  });

  it('of a language that is not there cannot be', async () => {
    await expect(sdk().createCodeContext({ language: 'klingon' })).rejects.toThrow(SandboxError);
    const answer = await fetch(`${interpreter.url}/contexts`, {
      method: 'POST',
      body: '{"language":"klingon"}',
    });
    expect([answer.status, await answer.text()]).toEqual([
      500,
      'No kernel for the language "klingon" is installed in this sandbox',
    ]);
    await expect(sdk().runCode('1', { language: 'klingon' })).rejects.toThrow(SandboxError);
  });

  it('run one cell after the other, and several at once', async () => {
    const context = await sdk().createCodeContext();
    await sdk().runCode('import time; order = []', { context });
    const inOne = [1, 2, 3].map((n) => sdk().runCode(`time.sleep(0.2); order.append(${n})`, { context }));
    await Promise.all(inOne);
    expect((await sdk().runCode('order', { context })).text).toBe('[1, 2, 3]');
    const busy = sdk().runCode('time.sleep(3); "slept"', { context });
    expect((await sdk().runCode('"quick"')).text).toBe('quick');
    expect((await busy).text).toBe('slept');
    await sdk().removeCodeContext(context);
  });

  it('start over with the same id and directory', async () => {
    const context = await sdk().createCodeContext({ cwd: '/tmp' });
    await sdk().runCode('kept = 1', { context });
    let running: ReturnType<typeof begun> | undefined;
    await new Promise<void>((resolve) => {
      running = begun(context, resolve);
    });
    const waiting = sdk().runCode('"waited"', { context });
    await sdk().restartCodeContext(context.id);
    expect((await running)?.error).toMatchObject({
      name: 'ContextRestarting',
      value: 'Context was restarted',
    });
    expect((await waiting).text).toBe('waited');
    expect((await sdk().runCode('kept', { context })).error?.name).toBe('NameError');
    expect((await sdk().runCode('import os; os.getcwd()', { context })).text).toBe('/tmp');
    expect(await sdk().listCodeContexts()).toContainEqual(context);
    await sdk().removeCodeContext(context);
  });

  it('abort what runs when they are removed', async () => {
    const context = await sdk().createCodeContext();
    let running: ReturnType<typeof begun> | undefined;
    await new Promise<void>((resolve) => {
      running = begun(context, resolve);
    });
    await sdk().removeCodeContext(context);
    expect((await running)?.error?.name).toBe('ExecutionAborted');
  });

  it('take no more than so many cells at once', async () => {
    const context = await sdk().createCodeContext();
    const client = new AbortController();
    const ask = (code: string) =>
      fetch(`${interpreter.url}/execute`, {
        method: 'POST',
        body: JSON.stringify({ code, context_id: context.id }),
        signal: client.signal,
      });
    const asked = await Promise.all(
      Array.from({ length: 70 }, (_, n) => ask(n === 0 ? 'import time; time.sleep(60)' : '1')),
    );
    expect(asked.filter(({ status }) => status === 200)).toHaveLength(64);
    expect(asked.filter(({ status }) => status === 429)).toHaveLength(6);
    client.abort();
    // The server sees it a moment later.
    await expect
      .poll(() =>
        sdk()
          .runCode('"free"', { context })
          .then(({ text }) => text, String),
      )
      .toBe('free');
    await sdk().removeCodeContext(context);
  });
});

describe('a client that goes away', () => {
  it('interrupts its code', async () => {
    await expect(
      sdk().runCode('gone = 0\nimport time; time.sleep(300)', { timeoutMs: 1000 }),
    ).rejects.toThrow(TimeoutError);
    expect((await sdk().runCode('gone + 1')).text).toBe('1');
  });

  it('takes its code out of the queue', async () => {
    const context = await sdk().createCodeContext();
    const before = sdk().runCode('import time; time.sleep(3)', { context });
    await expect(sdk().runCode('ran = 1', { context, timeoutMs: 500 })).rejects.toThrow(TimeoutError);
    await before;
    expect((await sdk().runCode('ran', { context })).error?.name).toBe('NameError');
    await sdk().removeCodeContext(context);
  });

  it.each([
    [
      'catches interrupts',
      'while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt: pass',
    ],
    ['does not hear them', 'import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)'],
    ['is in a call to C', 'import re; re.match("(a+)+$", "a" * 60 + "b")'],
  ])('ends the process of code that %s', async (_what, code) => {
    const context = await sdk().createCodeContext();
    await expect(sdk().runCode(`import time\n${code}`, { context, timeoutMs: 1000 })).rejects.toThrow(
      TimeoutError,
    );
    const { text, logs } = await sdk().runCode('1 + 1', { context, timeoutMs: 30_000 });
    expect(text).toBe('2');
    if (!code.includes('re.match')) expect(logs.stderr.join('')).toMatch(/variables and imports are lost/);
    await sdk().removeCodeContext(context);
  });

  it('leaves the output of its code to nobody', async () => {
    const context = await sdk().createCodeContext();
    await expect(
      sdk().runCode('while True: print("flood" * 1000)', { context, timeoutMs: 500 }),
    ).rejects.toThrow(TimeoutError);
    expect((await sdk().runCode('print("mine")', { context })).logs.stdout.join('')).toBe('mine\n');
    await sdk().removeCodeContext(context);
  });
});

describe('a process that ends', () => {
  it('is an error of its cell, and is started anew', async () => {
    await sdk().runCode('lost = 1');
    const { error, logs } = await sdk().runCode(
      'import os, signal\nprint("last words")\nos.kill(os.getpid(), signal.SIGKILL)',
    );
    expect(logs.stdout.join('')).toBe('last words\n');
    expect(error?.name).toBe('UnexpectedEndOfExecution');
    expect(error?.value).toMatch(
      /was killed by SIGKILL, as the system does when memory runs out.*without its variables/,
    );
    const after = await sdk().runCode('lost');
    expect([after.error?.name, after.logs.stderr]).toEqual(['NameError', []]);
    expect((await sdk().runCode('import os; os._exit(7)')).error?.value).toMatch(/exited with code 7/);
    expect((await sdk().runCode('1 + 1')).text).toBe('2');
  });

  it('between cells is told to the next', async () => {
    await sdk().runCode(
      'import os, threading, time\nthreading.Thread(target=lambda: (time.sleep(0.5), os._exit(1))).start()',
    );
    await pause(2000);
    const { text, logs } = await sdk().runCode('2');
    expect(text).toBe('2');
    expect(logs.stderr.join('')).toMatch(/had ended.*variables and imports are lost/);
    expect((await sdk().runCode('3')).logs.stderr).toEqual([]);
  });

  it('is ended if it breaks its protocol', async () => {
    const { error } = await sdk().runCode(`
import os, struct
for fd in range(200, 210):
    try: os.write(fd, struct.pack('>I', 2**31))
    except OSError: pass
while True: pass`);
    expect(error?.name).toBe('UnexpectedEndOfExecution');
    expect((await sdk().runCode('1 + 1')).text).toBe('2');
  });

  it('takes with it what it has started', async () => {
    const context = await sdk().createCodeContext();
    const { text } = await sdk().runCode('import subprocess; subprocess.Popen(["sleep", "1000"]).pid', {
      context,
    });
    await sdk().removeCodeContext(context);
    await expect.poll(() => isThere(Number(text))).toBe(false);
  });
});

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('variables', () => {
  const get = async (name: string, options: { envs?: Record<string, string> } = {}) => {
    const code = `import os; print(os.environ.get(${JSON.stringify(name)}, '-'), end='')`;
    return (await sdk().runCode(code, options)).logs.stdout.join('');
  };

  it('of a run are gone after it, or have again the value that the sandbox gives them', async () => {
    interpreter.envd.body = JSON.stringify({ SHARED: `it's "global" $HOME`, 'NOT=ONE': 'x', EMPTY: '' });
    await interpreter.setGeneration('with variables');
    const odd = `a'b"c\n$(d) \\ ä`;
    expect(await get('SHARED')).toBe(`it's "global" $HOME`);
    expect(await get('OWN', { envs: { OWN: odd } })).toBe(odd);
    expect(await get('OWN')).toBe('-');
    expect(await get('SHARED', { envs: { SHARED: 'mine' } })).toBe('mine');
    expect(await get('SHARED')).toBe(`it's "global" $HOME`);
    expect(await get('EMPTY')).toBe('');
  });

  it('are given back also by code that fails', async () => {
    const { error } = await sdk().runCode('import os; raise ValueError(os.environ["T"])', {
      envs: { T: 'seen' },
    });
    expect(error?.value).toBe('seen');
    expect(await get('T')).toBe('-');
  });

  it('reach subprocesses', async () => {
    expect((await sdk().runCode('!echo $SUB', { envs: { SUB: 'below' } })).logs.stdout.join('')).toBe(
      'below\n',
    );
  });

  it('of the sandbox are asked for with its token, once for each copy of it', async () => {
    interpreter.envd.body = '{"COPY":"one"}';
    await interpreter.setGeneration('copy one');
    interpreter.envd.requests.length = 0;
    const execute = () =>
      fetch(`${interpreter.url}/execute`, {
        method: 'POST',
        headers: { 'X-Access-Token': 'secret' },
        body: '{"code":"import os; os.environ[\\"COPY\\"]"}',
      }).then((answer) => answer.text());
    expect(await execute()).toContain('"text":"one"');
    expect(await execute()).toContain('"text":"one"');
    expect(interpreter.envd.requests.map(({ headers }) => headers['x-access-token'])).toEqual(['secret']);
    interpreter.envd.body = '{"COPY":"two"}';
    await interpreter.setGeneration('copy two');
    expect(await execute()).toContain('"text":"two"');
  });

  it.each([
    [401, '{}'],
    [200, 'no JSON'],
    [200, '{"A":1}'],
    [200, `{"A":"${'x'.repeat(5 * 1024 * 1024)}"}`],
  ])('are none if envd answers %i and nonsense', async (status, body) => {
    Object.assign(interpreter.envd, { status, body });
    await interpreter.setGeneration(`nonsense ${status} ${body.length}`);
    expect(await get('A')).toBe('-');
    Object.assign(interpreter.envd, { status: 200, body: '{}' });
  });
});
