import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';

describe('paused sandboxes', () => {
  let dataDir: string;
  let instance: RunningInstance | undefined;
  beforeAll(async () => {
    dataDir = await newDataDir();
    instance = await startInstance(dataDir);
  });
  afterAll(async () => {
    await instance?.stop('SIGTERM');
    await removeDataDir(dataDir);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)('outlive their Islet’s end by %s', async (signal) => {
    const sandbox = await Sandbox.create('base', { ...instance?.access });
    await sandbox.files.write('/home/user/note.txt', 'kept');
    await sandbox.commands.run('sleep 1000', { background: true, timeoutMs: 0 });
    expect(await sandbox.pause()).toBe(true);
    await instance?.stop(signal);
    instance = await startInstance(dataDir);
    const resumed = await Sandbox.connect(sandbox.sandboxId, { ...instance.access });
    expect(await resumed.files.read('/home/user/note.txt')).toBe('kept');
    expect((await resumed.commands.list()).map(({ cmd, args }) => [cmd, args.at(-1)])).toEqual([
      ['/bin/bash', 'sleep 1000'],
    ]);
    await resumed.kill();
  });
});
