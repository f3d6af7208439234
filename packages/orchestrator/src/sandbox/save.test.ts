import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertIntact } from '@islet/driver';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readManifest } from '../snapshots/manifest.ts';
import { sealSaved } from './save.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-save-'));
  await writeFile(join(dir, 'checkpoint.img'), 'memory');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const origin = { runtime: { name: 'gvisor', digest: 'r' }, guestDigest: 'g', rootfsDir: '/r' } as const;

it('seals what a process was killed over while it sealed it, and what it starts from is intact', async () => {
  await writeFile(join(dir, 'manifest.json.new'), '{"version": 2, "files"');
  await sealSaved(dir, origin);
  const manifest = await readManifest(dir);
  expect(Object.keys(manifest?.files ?? {})).toEqual(['checkpoint.img']);
  await expect(assertIntact(dir, manifest?.files ?? {})).resolves.toBeUndefined();
});
