import { closeSync, readSync } from 'node:fs';
import { openProgram } from '@islet/posix-spawn';
import { checked } from './libc.ts';
import { watchReadiness } from './readiness.ts';

/** Bits of an inotify event that envd asks for or gets. */
export const IN = {
  modify: 0x2,
  attrib: 0x4,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  queueOverflow: 0x4000,
  ignored: 0x8000,
  onlyDirectories: 0x1000000,
  isDirectory: 0x40000000,
} as const;

export interface InotifyEvent {
  /** Watch descriptor. */
  wd: number;
  mask: number;
  /** Name inside the watched directory, '' for the directory itself. */
  name: string;
}

/** One inotify instance. */
export interface Inotify {
  /** @returns the watch descriptor; the same one for the same directory. @throws SystemError */
  add(path: string, mask: number): number;
  /** Does nothing for a watch that the kernel has already taken away. */
  remove(wd: number): void;
  close(): void;
}

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const HEADER_BYTES = 16;

/** Opens an instance and calls back with batches of events as they come. */
export function openInotify(onEvents: (events: InotifyEvent[]) => void): Inotify {
  const program = openProgram();
  const init = program.func('int inotify_init1(int)');
  const addWatch = program.func('int inotify_add_watch(int, const char *, uint32_t)');
  const removeWatch = program.func('int inotify_rm_watch(int, int)');
  const fd = checked('inotify_init1', init(IN_NONBLOCK | IN_CLOEXEC));
  const buffer = Buffer.alloc(65_536);
  let open = true;
  const watched = new Set<number>();

  const drain = () => {
    while (open) {
      let length: number;
      try {
        length = readSync(fd, buffer, 0, buffer.length, null);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return;
        throw error;
      }
      if (length <= 0) return;
      onEvents(parseEvents(buffer.subarray(0, length)));
    }
  };
  const readiness = watchReadiness(fd, drain);
  readiness.want({ read: true, write: false });

  return {
    add(path, mask) {
      const wd = checked('inotify_add_watch', addWatch(fd, path, mask >>> 0));
      watched.add(wd);
      return wd;
    },
    remove(wd) {
      watched.delete(wd);
      if (open) removeWatch(fd, wd);
    },
    close() {
      if (!open) return;
      open = false;
      // gVisor goes on to reach a closed instance, its watches and their folders when it saves the sandbox; folders that were
      // forgotten since make it give up, which ends the sandbox.
      for (const wd of watched) removeWatch(fd, wd);
      readiness.close();
      closeSync(fd);
    },
  };
}

/** Takes apart what a read from an inotify descriptor gave. */
export function parseEvents(bytes: Buffer): InotifyEvent[] {
  const events: InotifyEvent[] = [];
  let offset = 0;
  while (offset + HEADER_BYTES <= bytes.length) {
    const nameBytes = bytes.readUInt32LE(offset + 12);
    const nameStart = offset + HEADER_BYTES;
    const field = bytes.subarray(nameStart, nameStart + nameBytes);
    const end = field.indexOf(0);
    events.push({
      wd: bytes.readInt32LE(offset),
      mask: bytes.readUInt32LE(offset + 4),
      name: field.toString('utf8', 0, end === -1 ? field.length : end),
    });
    offset = nameStart + nameBytes;
  }
  return events;
}
