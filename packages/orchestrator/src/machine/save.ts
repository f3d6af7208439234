import { mkdir, rm, statfs } from 'node:fs/promises';
import { noRoomToSave, notSaved, UnsavableError } from '@islet/contracts';
import type { SandboxDriver } from '@islet/driver';
import { waitForQuiet, waitForRequests } from '@islet/network';
import { readRemovedFiles } from '../envd/client.ts';
import type { MachineRun } from './run.ts';

/** How long connections from outside may take to close once the proxies were told, ms. */
const QUIET_DEADLINE_MS = 10_000;

/** How long requests may take to end if nothing but courtesy waits for them, ms: the proxies cut them after 300. */
const COURTESY_MS = 400;

/** envd looks at every open file of every process. */
const REMOVED_FILES_DEADLINE_MS = 10_000;

/** Beside the sandbox's memory: its files' changes are counted in it, tables are not. */
const SNAPSHOT_SLACK_BYTES = 64 * 1024 * 1024;

/** A sandbox that is to be saved, and what that takes. */
export interface Saving {
  driver: SandboxDriver;
  run: MachineRun;
  address: string;
}

/**
 * Makes sure that a sandbox can be saved below `dir`.
 * @throws IsletError 503 if there is no room for it.
 */
export async function assertSavable({ driver, run }: Saving, dir: string): Promise<void> {
  await assertRoom(dir, (await driver.memoryUsedBytes(run.machine.id)) + SNAPSHOT_SLACK_BYTES);
}

/**
 * Makes sure that no process has a file of a volume open that is not there any more: gVisor would end the sandbox over it.
 * @throws UnsavableError naming the first of them, or where the sandbox's daemon does not say.
 */
export async function assertNoneRemoved({ address }: Saving, accessToken: string | undefined): Promise<void> {
  const request = { address, deadlineMs: REMOVED_FILES_DEADLINE_MS };
  const [first] = await readRemovedFiles(request, accessToken).catch((error: unknown) => {
    throw new UnsavableError('its daemon does not say what it has open of its volumes', error);
  });
  if (!first) return;
  throw new UnsavableError(
    `process ${first.pid} has ${first.path} open, which was removed from its volume or replaced there: end the process, or have it close the file`,
  );
}

/**
 * Writes a sandbox's memory and files into a new folder; the machine is gone then, and `keep` makes a saved state of the folder.
 * @throws IsletError 503 if it could not be done, and the sandbox still runs as before. Any other error: ask the driver whether it
 * is alive.
 */
export async function saveAndEnd<T>(saving: Saving, dir: string, keep: () => Promise<T>): Promise<T> {
  const { driver, run } = saving;
  if (driver.keepsConnections) await waitForRequests(saving.address, COURTESY_MS);
  else await untilQuiet(saving);
  try {
    await mkdir(dir, { mode: 0o700 });
    await orAlive(saving, driver.checkpoint(run.machine, dir));
    await driver.kill(run.machine);
    return await keep();
  } catch (error) {
    // It takes as much room as the sandbox's memory, which goes on.
    if (driver.isAlive(run.machine)) await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Writes a running sandbox's memory and files into `snapshotDir`, an empty folder; it goes on from the same instant.
 * Returns how long it was stopped, ms. Throws as `saveAndEnd` does.
 */
export async function saveLive(saving: Saving, snapshotDir: string): Promise<number> {
  if (!saving.driver.keepsConnections) await untilQuiet(saving);
  const begin = performance.now();
  await orAlive(saving, saving.driver.snapshot(saving.run.machine, snapshotDir));
  return performance.now() - begin;
}

/** Waits for a driver to save a sandbox. @throws IsletError 503 if it could not, and the sandbox still runs */
async function orAlive({ driver, run }: Saving, saved: Promise<void>): Promise<void> {
  try {
    await saved;
  } catch (error) {
    throw driver.isAlive(run.machine) ? notSaved(error) : error;
  }
}

async function untilQuiet({ address }: Saving): Promise<void> {
  try {
    await waitForQuiet(address, QUIET_DEADLINE_MS);
  } catch (error) {
    throw new UnsavableError((error as Error).message, error);
  }
}

async function assertRoom(dir: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= neededBytes) return;
  const mib = (bytes: number) => Math.ceil(bytes / 1024 / 1024);
  throw noRoomToSave(mib(neededBytes), mib(bavail * bsize));
}
