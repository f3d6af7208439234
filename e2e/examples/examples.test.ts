import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { openBrowser } from '../setup/chromium.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const { apiUrl, apiKey, sandboxUrl } = inject('islet');

/** ISLET_EXAMPLES_OUT keeps what the examples make, for somebody to look at. */
const kept = process.env.ISLET_EXAMPLES_OUT;
let out: string;
beforeAll(async () => {
  out = kept ?? (await mkdtemp(join(tmpdir(), 'islet-examples-')));
});
afterAll(async () => {
  if (!kept) await rm(out, { recursive: true, force: true });
});

/** Runs an example as its README says, and gives what it prints. */
async function run(example: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(
    'npx',
    ['--no-install', 'tsx', `examples/${example}/main.ts`, ...args],
    {
      cwd: ROOT,
      env: { ...process.env, E2B_API_URL: apiUrl, E2B_API_KEY: apiKey, E2B_SANDBOX_URL: sandboxUrl, ...env },
      maxBuffer: 16 * 1024 * 1024,
    },
  );
  return stdout;
}

const isPng = async (path: string) => (await readFile(path)).subarray(1, 4).toString() === 'PNG';

it('agent: a recorded model fixes its error, draws a chart and answers', async () => {
  const said = await run('agent', [join(out, 'agent')]);
  expect(said).toContain("KeyError: 'amount'");
  expect(said).toMatch(/West +114\.5/);
  expect(said).toContain('The answer: West grew most');
  expect(await readdir(join(out, 'agent'))).toEqual(['chart-1.png']);
  expect(await isPng(join(out, 'agent/chart-1.png'))).toBe(true);
});

it('agent: a model behind an API gets what its code did, and is believed', async () => {
  const asked: { model: string; messages: { content: string }[] }[] = [];
  const answers = ['```python\nprint(6 * 7)\n```', 'It is 42.'];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    asked.push(JSON.parse(Buffer.concat(chunks).toString()));
    expect(request.headers.authorization).toBe('Bearer a-key');
    response.end(JSON.stringify({ choices: [{ message: { content: answers[asked.length - 1] } }] }));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const said = await run('agent', [join(out, 'api')], {
      MODEL_URL: url,
      MODEL_KEY: 'a-key',
      MODEL_NAME: 'm',
    });
    expect(said).toContain('The answer: It is 42.');
    expect(asked.map(({ model }) => model)).toEqual(['m', 'm']);
    expect(asked[1]?.messages.at(-1)?.content).toBe('It ran:\n42\n');
  } finally {
    server.close();
  }
});

it('notebook: becomes a page with its tables, charts and the error of its last cell', async () => {
  const file = join(out, 'analysis.html');
  await run('notebook', [join(ROOT, 'examples/notebook/analysis.ipynb'), file]);
  const browser = await openBrowser();
  try {
    const page = await browser.context.newPage();
    await page.goto(`file://${file}`);
    expect(await page.textContent('h1')).toBe('Two kinds of flowers');
    expect(await page.locator('table').count()).toBe(1);
    expect(await page.textContent('table')).toContain('meadow');
    expect(await page.evaluate("document.querySelector('img').naturalWidth")).toBeGreaterThan(300);
    expect(await page.textContent('body')).toMatch(/correlation: 0\.\d+/);
    expect(await page.textContent('pre.error')).toBe("KeyError: 'petals'");
    if (kept) await page.screenshot({ path: join(out, 'notebook.png'), fullPage: true });
  } finally {
    await browser.close();
  }
});

it('forks: eight kernels go on from one, and one is best', async () => {
  const said = await run('forks', []);
  const scores = [...said.matchAll(/│ \d+ +│ (\d+) +│ (-?[\d.]+) +│/g)];
  expect(scores.map(([, depth]) => Number(depth))).toEqual([1, 2, 3, 4, 6, 8, 12, 16]);
  const best = Math.max(...scores.map(([, , score]) => Number(score)));
  expect(best).toBeGreaterThan(0.8);
  expect(said).toMatch(new RegExp(`The best depth is \\d+: ${best}`));
});

it('form: is filled in and sent from the desktop', async () => {
  const said = await run('form', [join(out, 'form')]);
  expect(said).toContain("{ name: 'Ada Lovelace', town: 'London', ticket: 'weekend', news: 'on' }");
  for (const name of ['empty', 'filled', 'sent']) {
    expect(await isPng(join(out, 'form', `${name}.png`))).toBe(true);
  }
});
