import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let interpreter: TestInterpreter;

beforeAll(async () => {
  interpreter = await startTestInterpreter();
});

afterAll(() => interpreter?.close());

const run = (code: string) => interpreter.sandbox.runCode(code);
const out = async (code: string) => {
  const { logs, error } = await run(code);
  return { stdout: logs.stdout.join(''), stderr: logs.stderr.join(''), error: error?.name };
};

describe('results', () => {
  it('gives the value of the last expression, and keeps state', async () => {
    await run('x = 40');
    const { text, executionCount, results, error } = await run('x += 2; x');
    expect({ text, results: results.length, error }).toEqual({ text: '42', results: 1, error: undefined });
    expect((await run('1')).executionCount).toBe((executionCount as number) + 1);
    expect((await run('1;')).results).toEqual([]);
    expect((await run('_')).text).toBe('1');
  });

  it('shows a text without its quotes', async () => {
    expect((await run("'abc'")).text).toBe('abc');
    expect((await run('"it\'s"')).text).toBe("it's");
    expect((await run('["a"]')).text).toBe("['a']");
  });

  it('cuts no text', async () => {
    const { text } = await run('list(range(5000))');
    expect(text).toContain('4999]');
    expect(text).not.toContain('...');
  });

  it('gives dicts and lists as JSON, with null for what JSON has no number for', async () => {
    const { results } = await run(`
import datetime, numpy
{'a': [1, 2.5, float('nan')], 2: {'b': None}, 'n': numpy.arange(2), 'd': datetime.date(2024, 1, 2)}`);
    expect(results[0]?.json).toEqual({ a: [1, 2.5, null], 2: { b: null }, n: [0, 1], d: '2024-01-02' });
    expect((await run('[1, "two"]')).results[0]?.json).toEqual([1, 'two']);
    expect((await run('[object]')).results[0]?.json).toBeUndefined();
    expect((await run('a = []; a.append(a); a')).results[0]).toMatchObject({ text: '[[...]]' });
  });

  it('gives every format that IPython knows, and others as extra', async () => {
    const { results } = await run(`
from IPython.display import *
display(HTML('<b>h</b>')); display(Markdown('# m')); display(Latex('$l$')); display(SVG('<svg></svg>'))
display(JSON({'j': 1})); display(Javascript('s()')); display(Image(b'\\x89PNG\\r\\n\\x1a\\n', format='png', width=3))
display(Image(b'\\xff\\xd8', format='jpeg'))
display({'application/pdf': 'cGRm', 'application/x-own': {'k': [1]}}, raw=True)`);
    expect(results.map((result) => result.formats())).toEqual([
      ['html'],
      ['markdown'],
      ['latex'],
      ['svg'],
      ['json'],
      ['javascript'],
      ['png'],
      ['jpeg'],
      ['pdf'],
    ]);
    expect(results.every((result) => !result.isMainResult)).toBe(true);
    expect(results[3]?.svg).toContain('<svg');
    expect(results[4]?.json).toEqual({ j: 1 });
    expect(results[6]?.png?.trim()).toBe(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1').toString('base64'));
    expect(results[8]?.raw).toMatchObject({ pdf: 'cGRm', extra: { 'application/x-own': { k: [1] } } });
  });

  it('tells the value of the cell from what it displays', async () => {
    const { results, text } = await run('display("shown"); "value"');
    expect(results.map(({ text, isMainResult }) => [text, isMainResult])).toEqual([
      ['shown', false],
      ['value', true],
    ]);
    expect(text).toBe('value');
  });

  it('names displays that have an id, and what comes in their place', async () => {
    const { results } = await run(`
handle = display('one', display_id='it'); handle.update('two'); clear_output(); display('three')`);
    const ids = results.map(({ raw }) => (raw as unknown as { extra?: unknown }).extra);
    expect(results.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    expect(ids).toEqual([
      { 'application/vnd.islet.display+json': { id: 'it', update: false } },
      { 'application/vnd.islet.display+json': { id: 'it', update: true } },
      undefined,
    ]);
  });

  it('gives the data of tables, and of what describes itself', async () => {
    const { results } = await run(`
import pandas as pd
pd.DataFrame({'n': [1, None], 's': ['a', 'b'], 't': pd.to_datetime(['2024-01-02', None]), 'o': [1 + 2j, {'k': 1}]})`);
    expect(results[0]?.data).toEqual({
      n: [1, null],
      s: ['a', 'b'],
      t: ['2024-01-02T00:00:00', null],
      o: ['(1+2j)', { k: 1 }],
    });
    expect(results[0]?.html).toContain('<table');
    const own = await run(`
class Own:
    def _repr_e2b_data_(self): return {'c': [1]}
    def _repr_e2b_chart_(self): return {'type': 'line', 'title': 'own', 'elements': []}
    def _repr_html_(self): raise ValueError('no html')
Own()`);
    expect(own.results[0]).toMatchObject({
      data: { c: [1] },
      chart: { type: 'line', title: 'own', elements: [] },
    });
  });

  it('shows a picture that is saved', async () => {
    const { results } = await run('from PIL import Image\nImage.new("RGB", (2, 2)).save("saved.png")');
    expect(results).toHaveLength(1);
    const file = await readFile(join(interpreter.home, 'saved.png'));
    expect(file.subarray(1, 4).toString()).toBe('PNG');
    expect(results[0]?.png).toBeDefined();
    expect((await run('import io; Image.new("RGB", (2, 2)).save(io.BytesIO(), "png")')).results).toEqual([]);
  });

  it('says of a result that is too large that it is', async () => {
    const { text, results } = await run('["x" * 1000] * 40000');
    expect(results[0]?.json).toBeUndefined();
    expect(text).toMatch(/too large to be sent: more than 32 MiB/);
    expect((text as string).length).toBeLessThan(2 * 1024 * 1024);
  });
});

describe('output', () => {
  it('comes in order, whoever writes it', async () => {
    const { stdout, stderr } = await out(`
import os, subprocess, sys, ctypes
print('python'); os.system('echo system'); subprocess.run(['echo', 'subprocess']); os.write(1, b'descriptor\\n')
ctypes.CDLL(None).puts(b'c'); print('last')
print('to stderr', file=sys.stderr); os.system('echo raw >&2; echo device > /dev/stderr')`);
    expect(stdout.split('\n').filter((line) => line !== 'c')).toEqual([
      'python',
      'system',
      'subprocess',
      'descriptor',
      'last',
      '',
    ]);
    expect(stdout).toContain('\nc\n');
    expect(stderr).toBe('to stderr\nraw\ndevice\n');
  });

  it('comes as it is written, also a part of a line', async () => {
    const seen: Array<[string, number]> = [];
    const begin = Date.now();
    await interpreter.sandbox.runCode('import time\nprint("part", end=""); time.sleep(3); print(" rest")', {
      onStdout: ({ line }) => void seen.push([line, Date.now() - begin]),
    });
    expect(seen.map(([line]) => line)).toEqual(['part', ' rest\n']);
    expect((seen[1] as [string, number])[1] - (seen[0] as [string, number])[1]).toBeGreaterThan(1000);
  });

  it('is text, whatever bytes it is', async () => {
    const { stdout } = await out('import os\nos.write(1, b"\\xff ok " + "ä€𝄞".encode()); print("\\ud800")');
    expect(stdout).toBe('\ufffd ok ä€𝄞\\ud800\n');
  });

  it('of a thread goes to the cell that runs, or to the next', async () => {
    await run(
      'import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.5), print("late"))).start()',
    );
    await run('time.sleep(0.2)');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect((await out('print("now")')).stdout).toBe('late\nnow\n');
  });

  it('of 100 MB arrives whole, and waits for a slow client', async () => {
    let length = 0;
    const { error } = await interpreter.sandbox.runCode('for _ in range(1000): print("x" * 99_999)', {
      onStdout: ({ line }) => {
        length += line.length;
      },
      timeoutMs: 0,
    });
    expect({ length, error }).toEqual({ length: 100_000_000, error: undefined });
  });
});

describe('errors', () => {
  it('come with a traceback without colours', async () => {
    const { error, results } = await run('def f():\n    return 1 / 0\nf()');
    expect(error).toMatchObject({ name: 'ZeroDivisionError', value: 'division by zero' });
    expect(error?.traceback).toContain('----> 2     return 1 / 0');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(error?.traceback).not.toMatch(/\x1b/);
    expect(results).toEqual([]);
  });

  it('of syntax point to the place', async () => {
    const { error } = await run('x = (1,\ndef');
    expect(error?.name).toBe('SyntaxError');
    expect(error?.traceback).toContain('^');
  });

  it('keep what was put out before', async () => {
    const { logs, error } = await run('print("before")\nraise KeyError("k")');
    expect(logs.stdout).toEqual(['before\n']);
    expect(error).toMatchObject({ name: 'KeyError', value: "'k'" });
  });

  it('of several tasks are shown as such', async () => {
    const { error } = await run('raise ExceptionGroup("both", [ValueError("a"), KeyError("b")])');
    expect(error).toMatchObject({ name: 'ExceptionGroup', value: 'both (2 sub-exceptions)' });
    expect(error?.traceback).toContain('ValueError: a');
  });

  it('that cannot be shown as text are shown all the same', async () => {
    const { error } = await run('class Bad(Exception):\n    def __str__(self): raise OSError\nraise Bad()');
    expect(error?.name).toBe('Bad');
  });

  it('end the cell on exit(), and not the context', async () => {
    await run('kept = 1');
    expect((await run('import sys; sys.exit(3)')).error).toMatchObject({ name: 'SystemExit', value: '3' });
    expect((await run('exit()')).error?.value).toMatch(/restart the context/);
    expect((await run('kept')).text).toBe('1');
  });

  it('refuse input()', async () => {
    const { error } = await run('name = input("Who? ")');
    expect(error).toMatchObject({ name: 'StdinNotImplementedError' });
    expect(error?.value).toMatch(/cannot ask anybody/);
    expect((await run('import getpass; getpass.getpass()')).error?.name).toBe('StdinNotImplementedError');
    expect((await run('import sys; sys.stdin.read()')).text).toBe('');
  });
});

describe('IPython', () => {
  it('has its magics', async () => {
    expect((await out('%cd /\n!pwd')).stdout).toBe('/\n/\n');
    expect((await out(`%cd -q ${interpreter.home}`)).stdout).toBe('');
    expect((await out('%%bash\necho "$((1 + 2))"; echo err >&2')).stdout).toBe('3\n');
    expect((await out('%pip --version')).stdout).toMatch(/^pip /);
    expect((await run('files = !echo one; echo two\nfiles')).text).toBe("['one', 'two']");
    expect((await run('!exit 3\n_exit_code')).text).toBe('3');
    expect((await out('%nothing_like_that')).stderr).toMatch(/not found/);
    expect((await run('len?')).results[0]?.text).toMatch(/^Signature: len/);
  });

  it('awaits at the top', async () => {
    expect((await run('import asyncio\nawait asyncio.sleep(0.01, "slept")')).text).toBe('slept');
    expect((await run('asyncio.run(asyncio.sleep(0, "ran"))')).text).toBe('ran');
  });

  it('lets a forked child end with its cell', async () => {
    const { stdout, error } = await out(`
import os
pid = os.fork()
if pid == 0:
    print('child')
else:
    os.waitpid(pid, 0); print('parent')`);
    expect({ stdout, error }).toEqual({ stdout: 'child\nparent\n', error: undefined });
    expect(
      (await run('import multiprocessing as m\nwith m.Pool(2) as p: r = p.map(abs, [-1, -2])\nr')).text,
    ).toBe('[1, 2]');
    expect((await run('1 + 1')).text).toBe('2');
  });

  it('shows nothing of Islet to the code', async () => {
    const { text } = await run(
      'import sys\n(sys.argv, sys.path[0], __name__, [n for n in dir() if "islet" in n])',
    );
    expect(text).toBe("([''], '', '__main__', [])");
  });
});
