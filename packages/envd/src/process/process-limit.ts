import { closeSync, mkdirSync, openSync, readSync, rmdirSync, writeSync } from 'node:fs';
import { posix } from 'node:path';
import type { Mounts } from '../native/mounts.ts';

/** Holds the programs that envd starts, and all that they start, to a number of processes and threads. */
export interface ProcessLimit {
  /** Counts a program that was just started. */
  add(pid: number): void;
}

export interface ProcessLimitOptions {
  /** Processes and threads at once. */
  most: number;
  mounts: Pick<Mounts, 'mount' | 'unmount'>;
}

/** What a client may start to clear up when the limit is reached. */
const SPARE = 32;

/** Where the control groups are mounted for a moment. In /dev, so that nothing is written to the disk. */
const MOUNT_POINT = '/dev/islet-pids';

/** A control group of which the files that matter are open; nothing of it is to be seen in the file system. */
interface Group {
  members: number;
  current: number;
  most: number;
}

/**
 * Makes the groups. envd itself is in neither of them, so that it can start programs when no other can; those go to a small
 * group of their own then, with which a client can end the ones that are too many.
 * @throws Error where the kernel has no such groups.
 */
export function createProcessLimit({ most, mounts }: ProcessLimitOptions): ProcessLimit {
  mkdirSync(MOUNT_POINT);
  try {
    mounts.mount('none', MOUNT_POINT, 'cgroup', 'pids');
    try {
      const groups = [makeGroup('started', most), makeGroup('spare', SPARE)];
      return { add: (pid) => join(groups, pid) };
    } finally {
      mounts.unmount(MOUNT_POINT);
    }
  } finally {
    rmdirSync(MOUNT_POINT);
  }
}

function makeGroup(name: string, most: number): Group {
  const dir = posix.join(MOUNT_POINT, name);
  mkdirSync(dir);
  const limit = openSync(posix.join(dir, 'pids.max'), 'r+');
  writeSync(limit, String(most));
  closeSync(limit);
  return {
    members: openSync(posix.join(dir, 'cgroup.procs'), 'r+'),
    current: openSync(posix.join(dir, 'pids.current'), 'r'),
    most,
  };
}

/** Into the first group that has room. One that has none would take it nonetheless, and let it start nothing. */
function join(groups: readonly Group[], pid: number): void {
  const roomy = groups.find(({ current, most }) => readNumber(current) < most) ?? groups.at(-1);
  if (!roomy) return;
  try {
    writeSync(roomy.members, String(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended already
  }
}

function readNumber(descriptor: number): number {
  const bytes = Buffer.alloc(16);
  return Number(bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, 0)));
}
