import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreUnavailableError } from '@islet/snapshots';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StartRefused } from '../up/claim.ts';
import { openNodeStore } from './open.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-store-'));
  path = join(dir, 'store');
  await mkdir(join(dir, 'data'));
});
afterEach(() => rm(dir, { recursive: true }));

const open = (at = path) =>
  openNodeStore({ kind: 'directory', path: at }, { dataDir: join(dir, 'data'), logger });

/** As a mount that is gone. @returns has it come back */
async function takeAway(): Promise<() => Promise<void>> {
  await rename(path, `${path}-away`);
  await writeFile(path, '');
  return async () => {
    await rm(path);
    await rename(`${path}-away`, path);
  };
}

describe('the store of a node', () => {
  it('may be away at a start if the node has used it before, and works when it is back', async () => {
    const before = await open();
    await before.put('kept', Buffer.from('kept'));
    const comeBack = await takeAway();
    const store = await open();
    await expect(store.get('kept', 100)).rejects.toThrow(StoreUnavailableError);
    await expect(store.put('new', Buffer.from('new'))).rejects.toThrow(StoreUnavailableError);
    await comeBack();
    expect(String(await store.get('kept', 100))).toBe('kept');
    await store.put('new', Buffer.from('new'));
  });

  it('keeps a node from starting that has not used it, or another one', async () => {
    const file = join(dir, 'file');
    await writeFile(file, '');
    await expect(open(file)).rejects.toThrow(StartRefused);
    await open();
    await expect(open(file)).rejects.toThrow(StartRefused);
  });
});
