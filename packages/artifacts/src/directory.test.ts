import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { artifactsContract } from './artifacts.contract.ts';
import { createDirectoryArtifacts } from './directory.ts';
import { UploadSignatures } from './signatures.ts';

async function open() {
  const directory = await mkdtemp(join(tmpdir(), 'islet-artifacts-'));
  const store = createDirectoryArtifacts({ directory, signatures: new UploadSignatures('secret') });
  return { directory, store, remove: () => rm(directory, { recursive: true, force: true }) };
}

artifactsContract('directory', open);

it('leaves no part of a broken upload, and prunes those of a killed process', async () => {
  const { directory, store, remove } = await open();
  try {
    const key = { teamId: crypto.randomUUID(), hash: 'a'.repeat(64) };
    async function* broken() {
      yield Buffer.alloc(10);
      throw new Error('gone');
    }
    await expect(store.put(key, broken())).rejects.toThrow('gone');
    const incoming = join(directory, 'incoming');
    expect(await readdir(incoming)).toEqual([]);

    await writeFile(join(incoming, 'of-a-killed-process'), 'part');
    await writeFile(join(incoming, 'under-way'), 'part');
    const longAgo = new Date(Date.now() - 2 * 3_600_000);
    await utimes(join(incoming, 'of-a-killed-process'), longAgo, longAgo);
    expect(await store.prune(Date.now() + 1_000)).toEqual({ archives: 0, bytes: 0 });
    expect(await readdir(incoming)).toEqual(['under-way']);
  } finally {
    await remove();
  }
});

it('tells addresses signed here from others, whatever part of them was changed', () => {
  const grant = { teamId: crypto.randomUUID(), hash: 'a'.repeat(64), maxBytes: 100, expiresAtMs: 1_000 };
  const signatures = new UploadSignatures('secret');
  const signature = new URL(signatures.address(grant), 'http://x').searchParams.get('signature') ?? '';
  const claim = { ...grant, signature };
  expect(signatures.matches(claim)).toBe(true);
  expect(new UploadSignatures('other').matches(claim)).toBe(false);
  for (const change of [
    { teamId: crypto.randomUUID() },
    { hash: 'b'.repeat(64) },
    { maxBytes: 101 },
    { expiresAtMs: 2_000 },
    { signature: '' },
  ]) {
    expect(signatures.matches({ ...claim, ...change }), JSON.stringify(change)).toBe(false);
  }
});
