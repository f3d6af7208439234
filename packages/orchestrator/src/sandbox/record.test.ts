import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newSandbox } from '@islet/contracts';
import { expect, it } from 'vitest';
import { RecordStore } from './record.ts';

it('says that the disk is full with an error for clients, and keeps what was written before', async () => {
  const root = await mkdtemp(join(tmpdir(), 'islet-records-'));
  try {
    const records = new RecordStore(root);
    const record = (endAtMs: number) => ({
      sandbox: newSandbox({ config: { sandboxId: 'ia' }, endAtMs }),
      base: { rootfs: 'r', guest: 'g' },
      run: undefined,
      saved: 's',
    });
    await records.make('ia');
    await records.write(record(1), { durable: false });
    // What is written there goes to a device that is always full.
    await symlink('/dev/full', join(records.dir('ia'), 'state.json.new'));
    await expect(records.write(record(2), { durable: false })).rejects.toMatchObject({
      status: 503,
      errorCode: 'sandbox_capacity_unavailable',
      message: expect.stringContaining('disk of the sandbox'),
    });
    expect((await records.readAll()).get('ia')?.sandbox.endAtMs).toBe(1);
    expect(await readdir(records.dir('ia'))).toEqual(['state.json']);
    await records.write(record(3), { durable: false });
    expect((await records.readAll()).get('ia')?.sandbox.endAtMs).toBe(3);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
