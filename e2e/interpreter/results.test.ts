import { E2B, type OutputMessage, type Sandbox } from '@e2b/code-interpreter';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { interpreters } from './interpreter.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const create = interpreters();
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await create();
});

describe('what a run comes to', () => {
  it('has its formats, its text, and a form for JSON', async () => {
    const shown = `
from IPython.display import HTML, Latex, Markdown
display(HTML('<b>h</b>')); display(Markdown('# m')); display(Latex('$l$'))
display({'application/x-own': [1], 'text/plain': 'own'}, raw=True)
print('said')
{'a': 1}`;
    const execution = await sandbox.runCode(shown);
    expect(execution.results.map((result) => result.formats())).toEqual([
      ['html'],
      ['markdown'],
      ['latex'],
      // The SDK has no name for it: `raw` holds what it does not know.
      [],
      ['json'],
    ]);
    expect(execution.results.map(({ isMainResult }) => isMainResult)).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
    expect(execution.text).toBe("{'a': 1}");
    expect(JSON.parse(JSON.stringify(execution))).toMatchObject({
      results: [
        { html: '<b>h</b>' },
        { markdown: '# m' },
        { latex: '$l$' },
        { text: 'own' },
        { json: { a: 1 } },
      ],
      logs: { stdout: ['said\n'], stderr: [] },
    });
  });

  it('has a table’s data, and a chart’s beside its picture', async () => {
    const table = await sandbox.runCode('import pandas as pd\npd.DataFrame({"n": [1, 2]})');
    expect(table.results[0]).toMatchObject({ data: { n: [1, 2] }, html: expect.stringContaining('<table') });
    const drawing = `
import matplotlib.pyplot as plt
plt.bar(['one', 'two'], [1, 2]); plt.title('bars'); plt.ylabel('weight (kg)'); plt.show()`;
    const { results } = await sandbox.runCode(drawing);
    expect(results[0]?.formats()).toEqual(expect.arrayContaining(['png']));
    expect(results[0]?.chart).toMatchObject({
      ...{ type: 'bar', title: 'bars', y_label: 'weight (kg)', y_unit: 'kg' },
      elements: [
        { label: 'one', value: 1 },
        { label: 'two', value: 2 },
      ],
    });
  });

  it('tells each line with its time, in microseconds', async () => {
    const before = Date.now() * 1_000;
    const heard: OutputMessage[] = [];
    await sandbox.runCode('import sys\nprint("out")\nprint("err", file=sys.stderr)', {
      onStdout: (said) => void heard.push(said),
      onStderr: (said) => void heard.push(said),
    });
    heard.sort((one, other) => Number(one.error) - Number(other.error));
    expect(heard).toMatchObject([
      { line: 'out\n', error: false },
      { line: 'err\n', error: true },
    ]);
    for (const { timestamp } of heard) expect(timestamp).toBeGreaterThanOrEqual(before);
  });
});

describe('a client', () => {
  it('of settings of its own makes interpreters, too', async () => {
    const client = new E2B({ apiUrl, sandboxUrl, apiKey });
    const own = await client.Sandbox.create({ timeoutMs: 600_000 });
    try {
      const context = await own.createCodeContext({ language: 'js' });
      expect((await own.runCode('1 + 1', { context })).text).toBe('2');
      await own.restartCodeContext(context.id);
      await own.removeCodeContext(context.id);
    } finally {
      await own.kill();
    }
  });

  it('gets in with the token of a sandbox that wants one, and nobody else does', async () => {
    const closed = await create({ network: { allowPublicTraffic: false }, envs: { OWN: 'yes' } });
    const { logs } = await closed.runCode('import os; print(os.environ["OWN"])');
    expect(logs.stdout.join('')).toBe('yes\n');
    const [context] = await closed.listCodeContexts();
    const id = context?.id;
    const headers = { 'E2b-Sandbox-Id': closed.sandboxId, 'E2b-Sandbox-Port': '49999' };
    for (const [method, path] of [
      ['POST', '/execute'],
      ['POST', `/contexts/${id}/restart`],
      ['GET', '/contexts'],
    ] as const) {
      const body = method === 'POST' ? '{"code": "1"}' : null;
      expect((await fetch(`${sandboxUrl}${path}`, { method, headers, body })).status).toBe(403);
    }
    expect((await closed.listCodeContexts()).map((context) => context.id)).toContain(id);
  });

  it('that waits no longer for a long cell gets an error, and the cell is interrupted', async () => {
    const left =
      'import time\nleft = None\ntry:\n  time.sleep(300)\nexcept KeyboardInterrupt:\n  left = "interrupted"';
    await expect(sandbox.runCode(left, { timeoutMs: 1_000 })).rejects.toThrow(/timed? ?out/i);
    expect((await sandbox.runCode('left')).text).toBe('interrupted');
    // 0 means: however long it takes.
    expect((await sandbox.runCode('time.sleep(1.5); 1', { timeoutMs: 0 })).text).toBe('1');
  });

  it('cannot name a language and a context at once', async () => {
    const [context] = await sandbox.listCodeContexts();
    const both = { context, language: 'python' } as { language: string };
    await expect(sandbox.runCode('1', both)).rejects.toThrow('not both');
    // Nor by the protocol.
    const headers = {
      ...{ 'E2b-Sandbox-Id': sandbox.sandboxId, 'E2b-Sandbox-Port': '49999' },
      'Content-Type': 'application/json',
    };
    const body = JSON.stringify({ code: '1', context_id: context?.id, language: 'python' });
    const answer = await fetch(`${sandboxUrl}/execute`, { method: 'POST', headers, body });
    expect([answer.status, await answer.text()]).toEqual([
      400,
      'Only one of context_id or language can be provided',
    ]);
  });
});
