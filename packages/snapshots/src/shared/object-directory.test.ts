import { mkdir, mkdtemp, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ObjectDirectory } from './object-directory.ts';
import { type OpenedObjects, objectStoreContract } from './object-store.contract.ts';

async function open(): Promise<OpenedObjects & { root: string }> {
  const base = await mkdtemp(join(tmpdir(), 'islet-objects-'));
  const root = join(base, 'mounted');
  const store = await ObjectDirectory.open(root);
  return {
    ...{ store, root },
    other: () => ObjectDirectory.open(root),
    // Unmounted: what is left is the empty folder that it was mounted on.
    async away() {
      await rename(root, `${root}-elsewhere`);
      await mkdir(root);
      return store;
    },
    remove: () => rm(base, { recursive: true, force: true }),
  };
}

objectStoreContract('directory', open);

it('removes what a killed writer left unfinished a day ago, and no younger', async () => {
  const { root, store, remove } = await open();
  try {
    await store.put('one', Buffer.from('1'));
    const [old, young] = [join(root, '.unfinished', 'old'), join(root, '.unfinished', 'young')];
    await writeFile(old, 'half');
    await writeFile(young, 'half');
    const dayAgo = new Date(Date.now() - 25 * 3_600_000);
    await utimes(old, dayAgo, dayAgo);
    await ObjectDirectory.open(root);
    expect(await readdir(join(root, '.unfinished'))).toEqual(['young']);
    expect((await store.get('one', 10))?.toString()).toBe('1');
  } finally {
    await remove();
  }
});

it('lists nothing that is no object, such as what a server of NFS keeps of a file that is removed while it is open', async () => {
  const { root, store, remove } = await open();
  try {
    await store.put('states/one', Buffer.from('1'));
    await writeFile(join(root, 'states', '.nfs0000000000000001'), 'removed');
    const keys = [];
    for await (const { key } of store.list('states/')) keys.push(key);
    expect(keys).toEqual(['states/one']);
  } finally {
    await remove();
  }
});
