import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let interpreter: TestInterpreter;
beforeAll(async () => {
  interpreter = await startTestInterpreter();
});
beforeEach(() => interpreter.setAvailableMemory(1500));
afterAll(() => interpreter?.close());

const sdk = () => interpreter.sandbox;
/** More than is left to the sandbox by `setAvailableMemory(100)`. */
const HOLD = 'held = bytearray(b"x" * (300 << 20))';
const WAIT = 'import time\nprint("on")\ntime.sleep(60)';

it('ends the context that holds most of the memory before there is none, and says so', async () => {
  const other = await sdk().createCodeContext();
  await sdk().runCode('kept = 1', { context: other });
  const { error } = await sdk().runCode(`${HOLD}\n${WAIT}`, {
    onStdout: () => interpreter.setAvailableMemory(100),
  });
  expect(error?.name).toBe('UnexpectedEndOfExecution');
  expect(error?.value).toMatch(
    /was ended: it held 3\d\d of the 2048 MiB of the sandbox.*without its variables/,
  );
  await interpreter.setAvailableMemory(1500);
  expect((await sdk().runCode('kept', { context: other })).text).toBe('1');
  expect((await sdk().runCode('1 + 1')).text).toBe('2');
});

it('counts what a context has started, and ends one whose cell is over', async () => {
  const idle = await sdk().createCodeContext();
  const child = `import subprocess, sys\nchild = subprocess.Popen([sys.executable, "-c", ${JSON.stringify(`${HOLD}\nprint("held", flush=True)\nimport time; time.sleep(60)`)}], stdout=subprocess.PIPE)\nchild.stdout.readline()`;
  await sdk().runCode(child, { context: idle });
  const { text } = await sdk().runCode(`${WAIT.replace('60', '3')}\n"went on"`, {
    onStdout: () => interpreter.setAvailableMemory(100),
  });
  expect(text).toBe('went on');
  await interpreter.setAvailableMemory(1500);
  const { logs } = await sdk().runCode('1', { context: idle });
  expect(logs.stderr.join('')).toMatch(/was ended: it held 3\d\d of .*variables and imports are lost/);
});

it('ends nothing if something else holds the memory', async () => {
  await interpreter.setAvailableMemory(0);
  const { text, error } = await sdk().runCode('import time\ntime.sleep(1)\n"here"');
  expect([text, error]).toEqual(['here', undefined]);
});
