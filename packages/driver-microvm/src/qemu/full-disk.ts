import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@islet/telemetry';
import { Qmp } from './qmp.ts';
import { readStatus } from './qmp-answers.ts';

/** How often a machine that stands still tries again to write, ms. */
const RETRY_MS = 1_000;

/** QEMU's state of a machine whose write found no room. */
const NO_ROOM = 'io-error';
/** And of one that was stopped by `stop` while it ran. */
const STOPPED = 'paused';
const RUNNING = 'running';

export interface FullDiskOptions {
  machineId: string;
  /** A monitor for this session alone. */
  socket: string;
  /** Until QEMU listens, ms. */
  deadlineMs: number;
  isAlive: () => boolean;
  logger: Logger;
}

/**
 * Watches a machine until its QEMU ends. A write for which the host's disk has no room is kept by QEMU, which stops the machine. Here it is
 * let go on again and again, which has that write tried again, until there is room. Its programs notice nothing but the time.
 * @throws QmpError where QEMU does not answer
 */
export async function watchFullDisk(options: FullDiskOptions): Promise<void> {
  const { deadlineMs, isAlive, logger, machineId, socket } = options;
  const qmp = await Qmp.connect(socket, deadlineMs, isAlive);
  // It outlives whatever this process does otherwise.
  qmp.unref();
  const about = { machine: machineId };
  let standing = false;
  let stoppedAgain = false;
  const untilRoom = async () => {
    if (!(await hasNoRoom(qmp))) return;
    logger.warn(
      about,
      'a sandbox stands still: there is no room left on the host’s disk. Make some, and it goes on',
    );
    while (await hasNoRoom(qmp)) {
      await qmp.execute('cont');
      await sleep(RETRY_MS, undefined, { ref: false });
    }
    logger.info(about, 'a sandbox that stood still for want of room on the host’s disk goes on');
  };
  const goOn = async () => {
    // Also one that comes when it was just seen to run: nothing else would ever tell of it.
    stoppedAgain = true;
    if (standing) return;
    standing = true;
    try {
      while (stoppedAgain) {
        stoppedAgain = false;
        await untilRoom();
      }
    } finally {
      standing = false;
    }
  };
  // Nothing is left to do where QEMU has ended.
  qmp.on('STOP', () => void goOn().catch(() => {}));
  await goOn();
  await qmp.closed;
}

/**
 * Stops a machine to save it.
 * @throws Error if it stood still already: whoever watches it has it go on while it is saved, and may have done so between what is asked here.
 */
export async function stop(qmp: Pick<Qmp, 'execute'>): Promise<void> {
  await qmp.execute('stop');
  const status = await statusOf(qmp);
  if (status === STOPPED) return;
  if (status === NO_ROOM || status === RUNNING)
    throw new Error('the machine waits for room on the host’s disk');
  throw new Error(`the machine cannot go on: QEMU says '${status}' of it`);
}

/** Stops a machine for as long as `use` takes. Throws as `stop` does. */
export async function whileStopped(qmp: Qmp, use: () => Promise<void>): Promise<void> {
  await stop(qmp);
  try {
    await use();
  } finally {
    await qmp.execute('cont');
  }
}

async function hasNoRoom(qmp: Qmp): Promise<boolean> {
  return (await statusOf(qmp)) === NO_ROOM;
}

async function statusOf(qmp: Pick<Qmp, 'execute'>): Promise<string> {
  return readStatus(await qmp.execute('query-status')).status;
}
