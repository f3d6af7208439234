import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { timedSignature } from '../src/index.ts';

const SECRET = 'a secret of thirty-two characters';
const PAGE = resolve(import.meta.dirname, '../../../docs/webhooks.md');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-receiver-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

it('the receiver of the docs takes what is signed, once, and nothing else', async () => {
  const [, program] = /```js receiver\n([\s\S]*?)```/.exec(await readFile(PAGE, 'utf8')) ?? [];
  if (program === undefined) throw new Error('the page has no receiver');
  const path = join(dir, 'receiver.mjs');
  await writeFile(path, program);
  const env = { ...process.env, PORT: '0', WEBHOOK_SECRET: SECRET };
  const receiver = spawn(process.execPath, [path], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const lines = createInterface(receiver.stdout)[Symbol.asyncIterator]();
    const port = /^listening on (\d+)$/.exec((await lines.next()).value ?? '')?.[1];
    const body = (id: string) =>
      JSON.stringify({ id, type: 'sandbox.lifecycle.created', sandbox_id: `i${id}` });
    const now = Math.floor(Date.now() / 1000);
    const send = async (text: string, signature: string) => {
      const headers = { 'content-type': 'application/json', 'islet-signature': signature };
      return (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body: text })).status;
    };
    for (let count = 0; count < 2; count++) {
      expect(await send(body('a'), timedSignature(SECRET, body('a'), now))).toBe(204);
    }
    expect(await send(body('b'), timedSignature('another secret', body('b'), now))).toBe(401);
    expect(await send(body('b'), timedSignature(SECRET, body('a'), now))).toBe(401);
    expect(await send(body('b'), timedSignature(SECRET, body('b'), now - 1_000))).toBe(401);
    expect(await send(body('b'), 'nonsense')).toBe(401);
    expect(await send(body('c'), timedSignature(SECRET, body('c'), now))).toBe(204);
    expect([(await lines.next()).value, (await lines.next()).value]).toEqual([
      'sandbox.lifecycle.created ia',
      'sandbox.lifecycle.created ic',
    ]);
  } finally {
    receiver.kill();
    await once(receiver, 'exit');
  }
});
