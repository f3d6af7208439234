import { mkdir, rename, rm, statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { IsletError } from '@islet/contracts';
import type { SandboxDriver } from '../drivers/driver.ts';
import { waitForQuiet } from '../network/quiet.ts';
import type { RecordStore, SandboxRun } from './record.ts';

/** How long connections from outside may take to close once the proxies were told, ms. */
const QUIET_DEADLINE_MS = 10_000;

/**
 * A gVisor sandbox that is saved too soon after its own restore is broken after the next one: its programs' timers fire at
 * once, so that they spin and close connections behind their first answer. Measured on an idle machine: often within 300 ms,
 * never from 400 ms on; with twice as many busy loops as cores still now and then after 1 s, never after 3 s.
 */
const YOUNGEST_TO_SAVE_MS = 3_000;

/** Beside the sandbox's memory: its files' changes are counted in it, tables are not. */
const SNAPSHOT_SLACK_BYTES = 64 * 1024 * 1024;

/**
 * Writes a sandbox's memory and files into its folder; the machine is gone when this returns.
 * @throws IsletError 503 where it could not begin: the sandbox still runs as before. Any other error: ask the driver
 * whether it is alive.
 */
export async function saveSandbox(
  driver: SandboxDriver,
  records: RecordStore,
  sandboxId: string,
  address: string,
  run: SandboxRun,
  now: () => number,
): Promise<void> {
  const snapshotDir = records.snapshotDir(sandboxId);
  const temporary = `${snapshotDir}.new`;
  await assertRoom(records.root, (await driver.memoryUsedBytes(run.machine.id)) + SNAPSHOT_SLACK_BYTES);
  await sleep(Math.max(0, run.restoredAtMs + YOUNGEST_TO_SAVE_MS - now()));
  try {
    await waitForQuiet(address, QUIET_DEADLINE_MS);
  } catch (error) {
    throw new IsletError(503, `Error pausing sandbox - ${(error as Error).message}`, { cause: error });
  }
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { mode: 0o700 });
  await driver.checkpoint(run.machine, temporary);
  await driver.kill(run.machine);
  await rename(temporary, snapshotDir);
}

async function assertRoom(dir: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= neededBytes) return;
  const mib = (bytes: number) => Math.ceil(bytes / 1024 / 1024);
  throw new IsletError(
    503,
    `Error pausing sandbox - its memory needs ${mib(neededBytes)} MiB on disk, ${mib(bavail * bsize)} MiB are free; it still runs`,
  );
}
