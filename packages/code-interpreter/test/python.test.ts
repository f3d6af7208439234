import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let interpreter: TestInterpreter;

beforeAll(async () => {
  interpreter = await startTestInterpreter();
});

afterAll(() => interpreter?.close());

const run = (code: string) => interpreter.sandbox.runCode(code);

describe('results', () => {
  it('gives the value of the last expression, and keeps state', async () => {
    await run('x = 40');
    const { text, executionCount, results, error } = await run('x += 2; x');
    expect({ text, results: results.length, error }).toEqual({ text: '42', results: 1, error: undefined });
    expect((await run('1')).executionCount).toBe((executionCount as number) + 1);
  });

  it('shows a text without its quotes', async () => {
    expect((await run("'abc'")).text).toBe('abc');
    expect((await run('"it\'s"')).text).toBe("it's");
    expect((await run('["a"]')).text).toBe("['a']");
  });
});
