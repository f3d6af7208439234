import { openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';
import { NfsError } from './status.ts';

/** A moment as files have it; `now` and `unchanged` as utimensat(2) has them. */
export type FileTime = { seconds: number; nanoseconds: number } | 'now' | 'unchanged';

export interface Owner {
  uid: number;
  gid: number;
  groups: readonly number[];
}

/** An entry of a directory. */
export interface ListedName {
  /** Its inode. */
  id: bigint;
  name: Buffer;
  /** Where a listing goes on behind it: a number that stays good whatever else is made or removed. */
  next: bigint;
}

/**
 * What Node lacks for serving files by handle. A handle is the kernel's own name of a file (its inode, and which of those that had
 * this number), valid over renames and restarts until the file is gone. All throw SystemError.
 */
export interface KernelFiles {
  /** The handle of a directory's entry, not of what a link points to; without a name, of the open file itself. */
  handleOf(descriptor: number, name?: Buffer): Buffer;
  /**
   * Opens the file that a handle names, wherever it is in the file system of `mount`, and not to be read or written (O_PATH). Handles
   * that somebody made up are refused (ESTALE). The caller closes the descriptor.
   */
  openHandle(mount: number, handle: Buffer): number;
  /** What is written in a symbolic link. */
  readLink(descriptor: number): Buffer;
  /** Another name for an open file, also for a symbolic link. */
  link(descriptor: number, directory: number, name: Buffer): void;
  /** Makes a directory as somebody, whose rights the kernel checks and whose it is from the beginning. */
  makeDirectory(owner: Owner, directory: number, name: Buffer): void;
  /** As `makeDirectory`, a symbolic link. */
  makeLink(owner: Owner, directory: number, name: Buffer, target: Buffer): void;
  /** As `makeDirectory`, a pipe or a socket: `kind` is the part of a mode that says which. */
  makeNode(owner: Owner, directory: number, name: Buffer, kind: number): void;
  setTimes(descriptor: number, accessed: FileTime, modified: FileTime): void;
  /** Has a listing of an open directory go on at a place; it begins at 0. @throws NfsError EBADCOOKIE */
  seek(descriptor: number, place: bigint): void;
  /** The next entries of an open directory, `.` and `..` among them; none at its end. */
  listOn(descriptor: number): ListedName[];
  /** Node's own `close` is for what Node has opened. */
  close(descriptor: number): void;
}

/** A handle of ext4: inode and generation, 32 bits each (FILEID_INO32_GEN). */
export const HANDLE_BYTES = 8;
const HANDLE_TYPE = 1;

/** `struct linux_dirent64`: inode, place of the next, length of this, kind, and the name with its end. */
const DIRENT = { next: 8, length: 16, name: 19 };
const LIST_BYTES = 16 * 1024;
const SEEK_SET = 0;

/** Of a path, its end included. */
const MAX_PATH_BYTES = 4096;

/** struct file_handle: the length, the type, and the bytes. */
const HEADER_BYTES = 8;

/** Nobody else may use what has not got its own mode yet. */
const FIRST_FILE_MODE = 0o600;
const FIRST_DIRECTORY_MODE = 0o700;

const O_PATH = 0o10000000;
const O_NOFOLLOW = 0o400000;
const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_SYMLINK_FOLLOW = 0x400;
const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

export function openKernelFiles(): KernelFiles {
  const program = openProgram();
  const nameToHandle = program.func('int name_to_handle_at(int, const void *, void *, void *, int)');
  const openByHandle = program.func('int open_by_handle_at(int, void *, int)');
  const linkat = program.func('int linkat(int, const char *, int, const void *, int)');
  const readlinkat = program.func('intptr_t readlinkat(int, const void *, void *, size_t)');
  const mkdirat = program.func('int mkdirat(int, const void *, uint)');
  const symlinkat = program.func('int symlinkat(const void *, int, const void *)');
  const mknodat = program.func('int mknodat(int, const void *, uint, uint64_t)');
  const as = openImpersonation();
  const lseek = program.func('int64_t lseek(int, int64_t, int)');
  const getdents = program.func('intptr_t getdents64(int, void *, size_t)');
  const close = program.func('int close(int)');
  const utimensat = program.func('int utimensat(int, const char *, const void *, int)');

  return {
    handleOf(descriptor, name) {
      const handle = Buffer.alloc(HEADER_BYTES + HANDLE_BYTES);
      handle.writeUInt32LE(HANDLE_BYTES, 0);
      const mountId = Buffer.alloc(4);
      const flags = name === undefined ? AT_EMPTY_PATH : 0;
      checked(
        'name_to_handle_at',
        nameToHandle(descriptor, terminated(name ?? Buffer.alloc(0)), handle, mountId, flags),
      );
      return handle.subarray(HEADER_BYTES);
    },
    openHandle(mount, handle) {
      const named = Buffer.alloc(HEADER_BYTES + HANDLE_BYTES);
      named.writeUInt32LE(HANDLE_BYTES, 0);
      named.writeUInt32LE(HANDLE_TYPE, 4);
      handle.copy(named, HEADER_BYTES);
      return checked('open_by_handle_at', openByHandle(mount, named, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    },
    readLink(descriptor) {
      const target = Buffer.alloc(MAX_PATH_BYTES);
      return target.subarray(
        0,
        checked(
          'readlinkat',
          Number(readlinkat(descriptor, terminated(Buffer.alloc(0)), target, target.length)),
        ),
      );
    },
    link(descriptor, directory, name) {
      // The link of /proc is followed, and what it leads to is not.
      checked('linkat', linkat(AT_FDCWD, pathOf(descriptor), directory, terminated(name), AT_SYMLINK_FOLLOW));
    },
    makeDirectory(owner, directory, name) {
      as(owner, () => checked('mkdirat', mkdirat(directory, terminated(name), FIRST_DIRECTORY_MODE)));
    },
    makeLink(owner, directory, name, target) {
      as(owner, () => checked('symlinkat', symlinkat(terminated(target), directory, terminated(name))));
    },
    makeNode(owner, directory, name, kind) {
      as(owner, () => checked('mknodat', mknodat(directory, terminated(name), kind | FIRST_FILE_MODE, 0)));
    },
    seek(descriptor, place) {
      if (Number(lseek(descriptor, BigInt.asIntN(64, place), SEEK_SET)) >= 0) return;
      throw new NfsError('EBADCOOKIE', `errno ${koffi.errno()}`);
    },
    listOn(descriptor) {
      const bytes = Buffer.alloc(LIST_BYTES);
      const length = checked('getdents64', Number(getdents(descriptor, bytes, bytes.length)));
      return entriesIn(bytes.subarray(0, length));
    },
    close(descriptor) {
      checked('close', close(descriptor));
    },
    setTimes(descriptor, accessed, modified) {
      checked(
        'utimensat',
        utimensat(AT_FDCWD, pathOf(descriptor), Buffer.concat([timespec(accessed), timespec(modified)]), 0),
      );
    },
  };
}

function entriesIn(bytes: Buffer): ListedName[] {
  const entries: ListedName[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt16LE(at + DIRENT.length)) {
    const name = bytes.subarray(at + DIRENT.name, bytes.indexOf(0, at + DIRENT.name));
    entries.push({ id: bytes.readBigUInt64LE(at), name, next: bytes.readBigUInt64LE(at + DIRENT.next) });
  }
  return entries;
}

/** setgroups(2) of a single thread, x86-64: the function of that name changes all of them. */
const SYS_SETGROUPS = 116;

/** Gives this thread's file system calls another owner for as long as one call takes. */
function openImpersonation(): <T>(owner: Owner, work: () => T) => T {
  const program = openProgram();
  const setfsuid = program.func('int setfsuid(uint)');
  const setfsgid = program.func('int setfsgid(uint)');
  const setgroups = program.func('syscall', 'long', ['long', 'size_t', 'const void *']);
  const become = (groups: readonly number[], uid: number, gid: number) => {
    checked(
      'setgroups',
      Number(setgroups(SYS_SETGROUPS, groups.length, Buffer.from(Uint32Array.from(groups).buffer))),
    );
    setfsgid(gid);
    setfsuid(uid);
  };
  const own = process.getgroups?.() ?? [];
  return ({ uid, gid, groups }, work) => {
    become(groups, uid, gid);
    try {
      return work();
    } finally {
      become(own, process.geteuid?.() ?? 0, process.getegid?.() ?? 0);
    }
  };
}

/** Stands for an open descriptor's file in calls that take a path: it leads to that very file, whatever was renamed since. */
export function pathOf(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

function timespec(time: FileTime): Buffer {
  const spec = Buffer.alloc(16);
  if (typeof time === 'string') {
    spec.writeBigInt64LE(BigInt(time === 'now' ? UTIME_NOW : UTIME_OMIT), 8);
  } else {
    spec.writeBigInt64LE(BigInt(time.seconds), 0);
    spec.writeBigInt64LE(BigInt(time.nanoseconds), 8);
  }
  return spec;
}

function terminated(name: Buffer): Buffer {
  return Buffer.concat([name, Buffer.alloc(1)]);
}

function checked(call: string, result: number): number {
  if (result < 0) throw new SystemError(call, koffi.errno());
  return result;
}
