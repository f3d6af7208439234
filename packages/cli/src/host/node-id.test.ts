import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadNodeId } from './node-id.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-node-id-'));
});
afterEach(() => rm(dir, { recursive: true }));

it('is the name of the machine at first, and stays whatever the machine is called later', async () => {
  expect(await loadNodeId(dir)).toBe(hostname());
  expect(await readFile(join(dir, 'node-id'), 'utf8')).toBe(`${hostname()}\n`);
  await writeFile(join(dir, 'node-id'), 'an-older-name\n');
  expect(await loadNodeId(dir)).toBe('an-older-name');
});
