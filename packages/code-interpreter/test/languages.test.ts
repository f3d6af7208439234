import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleCodeInterpreter } from '../bundle.mjs';
import {
  bashHost,
  type HostOutput,
  javascriptHost,
  type LanguageHost,
  type MakeHost,
  rHost,
} from '../src/index.ts';

const hostFiles = (language: string) =>
  fileURLToPath(new URL(`../src/hosts/${language}/host`, import.meta.url));

let directory: string;
const makers: Record<string, MakeHost> = {};
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'islet-languages-'));
  await bundleCodeInterpreter(directory);
  const programs = join(directory, 'javascript');
  makers.javascript = javascriptHost(process.execPath, programs, 'javascript');
  makers.typescript = javascriptHost(process.execPath, programs, 'typescript');
  makers.bash = bashHost(hostFiles('bash'));
  makers.r = rHost(hostFiles('r'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What a cell put out, by kind. */
interface Outcome {
  stdout: string;
  stderr: string;
  main: Record<string, unknown> | undefined;
  shown: Record<string, unknown>[];
  error: { name: string; value: string; traceback: string } | undefined;
  count: number | undefined;
}

/** A host that runs, and what runs cells on it. */
async function open(language: string) {
  const host = (makers[language] as MakeHost)();
  await host.start({
    cwd: directory,
    env: { PATH: '/usr/bin:/bin', HOME: directory, LANG: 'C.UTF-8', KEPT: 'k' },
  });
  const run = async (
    code: string,
    more: Partial<Parameters<LanguageHost['execute']>[0]> = {},
  ): Promise<Outcome> => {
    const outputs: HostOutput[] = [];
    await host.execute(
      { code, env: {}, envAfter: {}, isRehearsal: false, ...more },
      (output) => void outputs.push(output),
    );
    return outcomeOf(outputs);
  };
  /** Runs a cell that does not end, until it is interrupted in the midst of it. */
  const interrupt = async (code: string) => {
    const running = run(code);
    const again = setInterval(() => void host.interrupt(), 500);
    return await running.finally(() => clearInterval(again));
  };
  return { host, run, interrupt, [Symbol.asyncDispose]: () => host.close() };
}

function outcomeOf(outputs: HostOutput[]): Outcome {
  const outcome: Outcome = {
    ...{ stdout: '', stderr: '', shown: [] },
    ...{ main: undefined, error: undefined, count: undefined },
  };
  for (const output of outputs) {
    if (output.type === 'count') outcome.count = output.executionCount;
    else if (output.type === 'error') outcome.error = output;
    else if (output.type !== 'result') outcome[output.type] += output.text;
    else if (output.main) outcome.main = output.data;
    else outcome.shown.push(output.data);
  }
  return outcome;
}

const text = ({ main }: Outcome) => main?.['text/plain'];

/** Of each language: code for the same thing. */
const SAME = [
  {
    ...{
      language: 'javascript',
      set: 'let x = 41',
      add: 'x += 1; console.log(x)',
      where: 'console.log(process.cwd())',
    },
    ...{
      variable: 'console.log(process.env.Q ?? "none", process.env.KEPT)',
      fail: 'null.x',
      endless: 'while (true);',
    },
    ...{
      complain: 'console.error("no")',
      child: 'require("child_process").execSync("sleep 60")',
      die: 'process.exit(3)',
    },
  },
  {
    ...{ language: 'typescript', set: 'let x: number = 41', add: 'x += 1; console.log(x as number)' },
    ...{
      where: 'console.log(process.cwd())',
      fail: 'throw new Error("no")',
      endless: 'await null; while (true);',
    },
    ...{
      variable: 'console.log(process.env.Q ?? "none", process.env.KEPT)',
      complain: 'console.error("no")',
    },
    ...{ child: 'await new Promise(() => {})', die: 'process.exit(3)' },
  },
  {
    ...{
      language: 'bash',
      set: 'x=41',
      add: 'echo $((x += 1))',
      where: 'pwd',
      variable: 'echo "$(printenv Q || echo none)" $KEPT',
    },
    ...{
      fail: 'ls /nowhere',
      endless: 'while :; do :; done',
      complain: 'echo no >&2',
      child: 'sleep 60',
      die: 'builtin exit 3',
    },
  },
  {
    ...{ language: 'r', set: 'x <- 41', add: 'x <- x + 1; cat(x, "\\n")', where: 'cat(getwd(), "\\n")' },
    ...{
      variable: 'cat(Sys.getenv("Q", "none"), Sys.getenv("KEPT"), "\\n")',
      fail: 'stop("no")',
      endless: 'repeat {}',
    },
    ...{ complain: 'message("no")', child: 'Sys.sleep(60)', die: 'quit(status = 3)' },
  },
];

describe.each(SAME)(
  '$language',
  ({ language, set, add, where, variable, fail, complain, endless, child, die }) => {
    it('keeps state, counts, and is where it was told to be', async () => {
      await using context = await open(language);
      await context.run(set);
      expect(await context.run(add)).toMatchObject({ count: 2, error: undefined });
      expect((await context.run(add)).stdout.trim()).toBe('43');
      expect((await context.run(where)).stdout.trim()).toBe(directory);
      expect((await context.run(complain)).stderr.trim()).toBe('no');
    });

    it('has the variables of a cell, whatever is in them, and those before it again after it', async () => {
      await using context = await open(language);
      const value = `a'b"c\\n$HOME \`id\` ü`;
      const { stdout } = await context.run(variable, {
        env: { Q: value },
        envAfter: { Q: null, KEPT: 'new' },
      });
      expect(stdout.trim()).toBe(`${value} k`);
      expect((await context.run(variable)).stdout.trim()).toBe('none new');
    });

    it('fails with an error and goes on', async () => {
      await using context = await open(language);
      await context.run(set);
      const { error } = await context.run(fail);
      expect(error).toMatchObject({ name: expect.any(String), value: expect.stringMatching(/./) });
      expect((await context.run(add)).stdout.trim()).toBe('42');
    });

    it('is interrupted, also if it waits, and keeps its state', async () => {
      await using context = await open(language);
      await context.run(set);
      expect((await context.interrupt(endless)).error).toBeDefined();
      expect((await context.interrupt(child)).error).toBeDefined();
      expect((await context.run(add)).stdout.trim()).toBe('42');
    });

    it('says how it has ended', async () => {
      await using context = await open(language);
      await expect(context.run(die)).rejects.toMatchObject({ name: 'HostEndedError', end: { code: 3 } });
      await expect(context.host.ended).resolves.toMatchObject({ code: 3 });
    });

    it('prints megabytes in order, before its cell is over', async () => {
      await using context = await open(language);
      const codes: Record<string, string> = {
        bash: 'seq 300000',
        r: 'cat(1:300000, sep = "\\n"); cat("\\n")',
      };
      const { stdout } = await context.run(
        codes[language] ?? 'for (let i = 1; i <= 300000; i++) console.log(i)',
      );
      const lines = stdout.trim().split('\n');
      expect([lines.length, lines[0], lines.at(-1)]).toEqual([300_000, '1', '300000']);
    });
  },
);

describe('JavaScript', () => {
  it('shows values, promises of them, and what they say of themselves', async () => {
    await using context = await open('javascript');
    expect(text(await context.run('({ a: [1] })'))).toBe('{ a: [ 1 ] }');
    expect(text(await context.run('Promise.resolve("late")'))).toBe("'late'");
    expect((await context.run('undefined')).main).toBeUndefined();
    const { shown, main } = await context.run('display({ _toHtml: () => "<b>x</b>" }); null');
    expect([shown[0]?.['text/html'], main?.['text/plain']]).toEqual(['<b>x</b>', 'null']);
  });

  it('imports and requires', async () => {
    await using context = await open('javascript');
    await context.run("import os, { EOL as end } from 'node:os'\nconst path = require('path')");
    expect(
      text(
        await context.run("[typeof os.cpus, end, path.join('a', 'b'), (await import('fs')).existsSync('/')]"),
      ),
    ).toBe("[ 'function', '\\n', 'a/b', true ]");
    expect((await context.run("import { nothing } from 'node:os'")).error).toMatchObject({
      name: 'SyntaxError',
      value: expect.stringContaining("'nothing'"),
    });
    expect((await context.run("import 'not-there'")).error).toMatchObject({
      value: expect.stringContaining('not-there'),
    });
  });

  it('shows where code failed, and nothing of this program', async () => {
    await using context = await open('javascript');
    const { error } = await context.run('function inner() {\n  throw new TypeError("bad")\n}\ninner()');
    expect(error).toMatchObject({ name: 'TypeError', value: 'bad' });
    const frames = error?.traceback.split('\n').slice(1);
    expect(frames?.[0]).toMatch(/at inner \(.*\[cell 1\]:2:9\)$/);
    expect(frames?.every((frame) => frame.includes('[cell 1]'))).toBe(true);
    expect((await context.run('let = = 1')).error).toMatchObject({
      name: 'SyntaxError',
      traceback: expect.stringContaining('^'),
    });
  });

  it('lives on when something fails behind a cell', async () => {
    await using context = await open('javascript');
    // A slow machine may end the first cell after its timer.
    const first = await context.run('setTimeout(() => { throw new Error("behind") }, 0)');
    const second = await context.run('await new Promise((done) => setTimeout(done, 50))');
    expect(first.stderr + second.stderr).toContain('behind');
    expect(text(await context.run('1'))).toBe('1');
  });

  it('does not take what code writes to descriptor 1 for messages of its own', async () => {
    await using context = await open('javascript');
    const { stdout, error } = await context.run(
      'require("fs").writeSync(1, "\\0\\0\\0\\x10{\\"type\\":\\"done\\"}")',
    );
    expect([stdout, error]).toEqual(['\0\0\0\x10{"type":"done"}', undefined]);
  });

  it('seeds its generators anew when it is told that it is a copy, and those alone that no code has replaced', async () => {
    await using context = await open('javascript');
    await context.run('const draw = () => Array.from({ length: 5 }, Math.random)\nconst numbers = [draw()]');
    await context.host.reseed();
    const many =
      'let sum = 0; for (let i = 0; i < 1e5; i++) sum += Math.random(); Math.abs(sum / 1e5 - 0.5) < 0.01';
    expect(text(await context.run(many))).toBe('true');
    await context.run(
      'let state = 1; Math.random = () => (state = (state * 16807) % 2147483647) / 2147483647',
    );
    const first = text(await context.run('state = 1; draw()'));
    await context.host.reseed();
    expect(text(await context.run('state = 1; draw()'))).toBe(first);
  });
});

describe('TypeScript', () => {
  it('strips types, and rewrites what is more than a type', async () => {
    await using context = await open('typescript');
    await context.run(
      'interface A { x: number }\nfunction f<T>(value: T): T { return value }\nenum Color { Red = "red" }',
    );
    expect(text(await context.run('f<A>({ x: 1 }).x'))).toBe('1');
    expect(text(await context.run('Color.Red'))).toBe("'red'");
    expect((await context.run('const x: = 1')).error).toMatchObject({ name: 'SyntaxError' });
  });
});

describe('Bash', () => {
  it('keeps arrays, functions and the directory, and tells the status of the last command', async () => {
    await using context = await open('bash');
    await context.run('declare -A map=([a]=5); f() { echo "f $1"; return 7; }; cd /usr');
    expect((await context.run('declare -p map; pwd')).stdout).toBe('declare -A map=([a]="5" )\n/usr\n');
    expect(await context.run('f 1')).toMatchObject({
      stdout: 'f 1\n',
      error: { name: 'ExitStatus', value: '7' },
    });
    expect((await context.run('echo $?')).error).toBeUndefined();
    expect((await context.run('echo "open')).error).toBeDefined();
  });

  it('ends the cell at `exit`, and goes on with the next', async () => {
    await using context = await open('bash');
    const { stdout, error } = await context.run('x=1; g() { exit 6; echo no; }; g; echo no');
    expect([stdout, error?.value]).toEqual(['', '6']);
    expect((await context.run('(exit 4); echo $? $x')).stdout).toBe('4 1\n');
  });
});

describe('R', () => {
  it('shows the last value, prints those before it, and draws', async () => {
    await using context = await open('r');
    const { stdout, main, shown } = await context.run('plot(1:3)\n"a"\ndata.frame(n = 1:2)');
    expect(stdout).toBe('[1] "a"\n');
    expect(main?.['text/plain']).toBe('  n\n1 1\n2 2');
    expect(
      Buffer.from(shown[0]?.['image/png'] as string, 'base64')
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG');
    expect((await context.run('invisible(1)')).main).toBeUndefined();
  });

  it('shows the calls that led to an error, and warnings', async () => {
    await using context = await open('r');
    const { error } = await context.run('f <- function(n) g(n)\ng <- function(n) stop("deep ", n)\nf(3)');
    expect(error).toMatchObject({
      value: 'deep 3',
      traceback: 'Error in g(n): deep 3\nf(3)\ng(n)\nstop("deep ", n)',
    });
    expect((await context.run('x +')).error?.value).toContain('unexpected end of input');
    expect(await context.run('warning("careful"); 1')).toMatchObject({
      stderr: expect.stringContaining('careful'),
      error: undefined,
    });
  });

  it('draws other numbers in a copy, unless code has set the seed', async () => {
    await using context = await open('r');
    await context.run('set.seed(1); a <- runif(1); set.seed(1)');
    await context.host.reseed();
    expect(text(await context.run('runif(1) == a'))).toBe('[1] TRUE');
    await context.run('set.seed(NULL); runif(1); state <- .Random.seed');
    await context.host.reseed();
    expect(
      text(await context.run('invisible(runif(1)); identical(.Random.seed[-(1:2)], state[-(1:2)])')),
    ).toBe('[1] FALSE');
  });
});
