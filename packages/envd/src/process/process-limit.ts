import { closeSync, mkdirSync, openSync, readSync, rmdirSync, writeSync } from 'node:fs';
import { posix } from 'node:path';
import type { Mounts } from '../native/mounts.ts';

/** Holds the programs that envd starts, and all that they start, to a number of processes and threads. */
export interface ProcessLimit {
  /** Counts what `start` starts. It must do that on the calling thread, and before it returns. */
  within<T>(start: () => T): T;
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
  tasks: number;
  current: number;
  most: number;
}

/**
 * Makes the groups. envd itself is in neither of them, so that it can start programs when no other can; those go to a small
 * group of their own then, with which a client can end the ones that are too many. A new process is in the group of the
 * thread that makes it, so envd's main thread enters one for as long as that takes.
 * @throws Error if the kernel has no such groups.
 */
export function createProcessLimit({ most, mounts }: ProcessLimitOptions): ProcessLimit {
  mkdirSync(MOUNT_POINT);
  try {
    mounts.mount('none', MOUNT_POINT, 'cgroup', 'pids');
    try {
      const own = openSync(posix.join(MOUNT_POINT, 'tasks'), 'r+');
      const groups = [makeGroup('started', most), makeGroup('spare', SPARE)] as const;
      return {
        within(start) {
          // The thread itself counts while it is there, and so must what it starts.
          const group = groups.find(({ current, most }) => readNumber(current) + 2 <= most) ?? groups[1];
          enter(group.tasks);
          try {
            return start();
          } finally {
            enter(own);
          }
        },
      };
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
    tasks: openSync(posix.join(dir, 'tasks'), 'r+'),
    current: openSync(posix.join(dir, 'pids.current'), 'r'),
    most,
  };
}

/** Moves the main thread, whose id is the process's. */
function enter(tasks: number): void {
  writeSync(tasks, String(process.pid), 0);
}

function readNumber(descriptor: number): number {
  const bytes = Buffer.alloc(16);
  return Number(bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, 0)));
}
