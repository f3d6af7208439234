import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { SandboxLog } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { build } from 'esbuild';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { HistoryThread } from '../src/index.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

let root: string;
let dir: string;
let program: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'islet-history-thread-'));
  program = join(root, 'history.mjs');
  await build({
    entryPoints: [resolve(import.meta.dirname, '../src/history/main.ts')],
    ...{ outfile: program, bundle: true, platform: 'node', format: 'esm', mainFields: ['module', 'main'] },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
});
afterAll(() => rmSync(root, { recursive: true }));
beforeEach(() => {
  dir = mkdtempSync(join(root, 'data-'));
});

const open = (over: { program?: string } = {}) =>
  new HistoryThread({ ...{ dir, bytes: 100_000_000, logLevel: 'silent', program, logger }, ...over });
const log = (timeMs: number): SandboxLog => ({
  ...{ sandboxId: 'ia', teamId: 't1', timeMs, level: 'info', logger: 'process' },
  ...{ message: `${timeMs}`, fields: {} },
});
const read = async ({ stores }: HistoryThread) =>
  (await stores.logs.query({ teamId: 't1', sandboxId: 'ia', limit: 100, direction: 'forward' })).map(
    ({ message }) => message,
  );

it('keeps what it has answered, and answers a mistake with an error', async () => {
  {
    await using thread = open();
    await thread.stores.logs.write([log(1), log(2)]);
    expect(await read(thread)).toEqual(['1', '2']);
    await expect(thread.stores.logs.write(7 as never)).rejects.toThrow(TypeError);
    await thread.stores.logs.write([log(3)]);
  }
  await using thread = open();
  expect(await read(thread)).toEqual(['1', '2', '3']);
});

it('is started again if it ends, with all that it had answered', async () => {
  // The real one, which ends at a word.
  const fragile = join(root, 'fragile.mjs');
  writeFileSync(
    fragile,
    `import { parentPort } from 'node:worker_threads';
     await import(${JSON.stringify(program)});
     parentPort.on('message', ({ args }) => args?.[0]?.teamId === 'fatal' && process.exit(1));`,
  );
  await using thread = open({ program: fragile });
  await thread.stores.logs.write([log(1)]);
  const fatal = { teamId: 'fatal', offset: 0, limit: 1 };
  await expect(thread.stores.verdicts.query(fatal)).rejects.toThrow('begins anew');
  await expect(read(thread)).rejects.toThrow('begins anew');
  await expect.poll(() => read(thread).catch(() => []), { interval: 100 }).toEqual(['1']);
});
