import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SandboxError, TimeoutError } from '@e2b/code-interpreter';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hasKernel, jupyterHost, kernelFolders } from '../src/index.ts';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

const PROGRAM = fileURLToPath(new URL('../src/hosts/jupyter/host', import.meta.url));
const IPYKERNEL = ['/usr/bin/python3', '-m', 'ipykernel_launcher', '-f', '{connection_file}'];
const SPECS = {
  third: { argv: IPYKERNEL, env: { FROM_SPEC: 'yes' } },
  'by-message': { argv: IPYKERNEL, interrupt_mode: 'message' },
  broken: { argv: ['/bin/sh', '-c', 'echo no kernel at all >&2; exit 3'] },
};

let directory: string;
let interpreter: TestInterpreter;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'islet-kernels-'));
  for (const [name, spec] of Object.entries(SPECS)) {
    await mkdir(join(directory, 'kernels', name), { recursive: true });
    const json = { display_name: name, language: 'python', ...spec };
    await writeFile(join(directory, 'kernels', name, 'kernel.json'), JSON.stringify(json));
  }
  const folders = kernelFolders(directory, directory);
  interpreter = await startTestInterpreter({
    env: { JUPYTER_PATH: directory },
    others: async (name) =>
      (await hasKernel(name, folders)) ? jupyterHost('/usr/bin/python3', PROGRAM, name) : undefined,
  });
});
afterAll(async () => {
  await interpreter?.close();
  await rm(directory, { recursive: true, force: true });
});

const run = (code: string, more: Parameters<TestInterpreter['sandbox']['runCode']>[1] = {}) =>
  interpreter.sandbox.runCode(code, { language: 'third' as never, ...more });

it('runs cells of an installed kernel by its name, with all that they put out', async () => {
  expect((await run('import os, sys\nkept = os.environ["FROM_SPEC"]')).error).toBeUndefined();
  const { text, logs, results, executionCount } = await run(
    'print("out")\nprint("err", file=sys.stderr)\ndisplay({"a": 1})\nimport subprocess; subprocess.run(["echo", "below"])\nkept',
  );
  expect([text, executionCount, results.length]).toEqual(['yes', 2, 2]);
  expect(logs.stdout.join('').split('\n').sort()).toEqual(['', 'below', 'out']);
  expect(logs.stderr.join('')).toBe('err\n');
  const { error } = await run('1 / 0');
  expect(error).toMatchObject({ name: 'ZeroDivisionError', value: 'division by zero' });
  expect(error?.traceback).toContain('1 / 0');
  expect((await run('input()')).error?.name).toBe('StdinNotImplementedError');
});

it('has variables of a run for its time', async () => {
  const code = 'import os; print(os.environ.get("OF_RUN"))';
  const value = `it's "x"`;
  expect((await run(code, { envs: { OF_RUN: value } })).logs.stdout.join('')).toBe(`${value}\n`);
  expect((await run(code)).logs.stdout.join('')).toBe('None\n');
});

it.each(['third', 'by-message'])(
  'interrupts a cell of %s whose client goes, and keeps its state',
  async (language) => {
    const options = { language: language as never };
    await interpreter.sandbox.runCode('kept = 1', options);
    await expect(
      interpreter.sandbox.runCode('while True: pass', { ...options, timeoutMs: 1_500 }),
    ).rejects.toThrow(TimeoutError);
    expect((await interpreter.sandbox.runCode('kept', options)).text).toBe('1');
  },
);

it('says that a kernel has ended, and begins anew', async () => {
  const { error } = await run('import os; os._exit(5)');
  expect(error?.name).toBe('UnexpectedEndOfExecution');
  expect((await run('1 + 1')).text).toBe('2');
});

it('says why a kernel does not start, and that there is none of a name', async () => {
  const start = (language: string) => interpreter.sandbox.createCodeContext({ language: language as never });
  const body = JSON.stringify({ language: 'broken' });
  const refused = await fetch(`${interpreter.url}/contexts`, { method: 'POST', body });
  expect(refused.status).toBe(500);
  expect(await refused.text()).toMatch(/no kernel at all\s+The kernel has ended, by exit code 3/);
  for (const name of ['none', '../third', '.', 'third/..']) {
    await expect(start(name)).rejects.toThrow(SandboxError);
  }
});
