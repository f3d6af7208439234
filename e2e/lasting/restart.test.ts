import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { startPoller, TOLD_RIGHT, tellRestored, untilWaiting, whatItWasTold } from './poller.ts';

/** Of a command whose sandbox is saved in between, ms: longer than the parts of the test before and behind that. */
const DEADLINE_MS = 12_000;

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

  it('are saved to the end where Islet is killed meanwhile, and live no shorter for it', async () => {
    if (!instance) throw new Error('no Islet runs');
    const sandbox = await Sandbox.create('base', { ...instance.access });
    const { sandboxId } = sandbox;
    await startPoller(sandbox);
    await untilWaiting(sandbox, 1);
    await sandbox.pause();
    const again = await Sandbox.connect(sandboxId, { ...instance.access });
    await tellRestored(again, 1);
    await untilWaiting(again, 2);
    const diesAt = Date.now() + DEADLINE_MS;
    const command = { background: true, timeoutMs: DEADLINE_MS } as const;
    const { pid } = await again.commands.run('sleep 1000', command);
    const pause = again.pause().catch(() => 'cut off');
    await untilSaving(dataDir, sandboxId);
    await instance.stop('SIGKILL');
    expect(await pause).toBe('cut off');
    instance = await startInstance(dataDir);
    await sleep(diesAt - Date.now());
    const saved = await Sandbox.connect(sandboxId, { ...instance.access });
    expect((await saved.commands.list()).map((process) => process.pid)).toContain(pid);
    await tellRestored(saved, 2);
    expect(await whatItWasTold(saved)).toBe(TOLD_RIGHT);
    await saved.kill();
  });
});

/** Waits until the runtime writes a sandbox's memory. */
async function untilSaving(dataDir: string, sandboxId: string): Promise<void> {
  const dir = join(dataDir, 'sandboxes', sandboxId, 'saving');
  const names = () => readdir(dir).catch(() => []);
  await until('its memory is being written', 10_000, names, (found) => found.length > 0);
}
