import { openProgram, SystemError } from '@islet/posix-spawn';
import { checked, lastErrno } from './libc.ts';

/** Extended attributes of files; values are bytes. */
export interface ExtendedAttributes {
  /** Names of a file's attributes, the link itself for a symbolic link. Empty if the file system has none. */
  list(path: string): string[];
  /** Undefined if the attribute does not exist. */
  get(path: string, name: string): Buffer | undefined;
  /** @returns false if the file system has no such attributes. */
  set(fd: number, name: string, value: Buffer): boolean;
  remove(fd: number, name: string): void;
  /** Like `list`, of an open file. */
  listOpen(fd: number): string[];
}

const ENODATA = 61;
const EOPNOTSUPP = 95;
const ENOSYS = 38;
const ERANGE = 34;

/** Largest value and list the kernel allows. */
const MAX_BYTES = 65_536;

export function createExtendedAttributes(): ExtendedAttributes {
  const program = openProgram();
  const llistxattr = program.func('long llistxattr(const char *, void *, size_t)');
  const flistxattr = program.func('long flistxattr(int, void *, size_t)');
  const lgetxattr = program.func('long lgetxattr(const char *, const char *, void *, size_t)');
  const fsetxattr = program.func('int fsetxattr(int, const char *, void *, size_t, int)');
  const fremovexattr = program.func('int fremovexattr(int, const char *)');
  const small = Buffer.alloc(4096);

  /** Calls with a small shared buffer first and once more with the largest if that is too short. */
  const read = (call: string, fill: (into: Buffer) => number | bigint): Buffer | undefined => {
    for (const into of [small, undefined]) {
      const buffer = into ?? Buffer.alloc(MAX_BYTES);
      const length = Number(fill(buffer));
      if (length >= 0) return buffer.subarray(0, length);
      const errno = lastErrno();
      if (errno === ENODATA || errno === EOPNOTSUPP || errno === ENOSYS) return undefined;
      if (errno !== ERANGE || !into) throw new SystemError(call, errno);
    }
    return undefined;
  };
  const names = (list: Buffer | undefined) =>
    list && list.length > 0 ? list.toString('utf8').split('\0').filter(Boolean) : [];

  return {
    list: (path) => names(read('llistxattr', (into) => llistxattr(path, into, into.length))),
    listOpen: (fd) => names(read('flistxattr', (into) => flistxattr(fd, into, into.length))),
    get(path, name) {
      const value = read('lgetxattr', (into) => lgetxattr(path, name, into, into.length));
      return value && Buffer.from(value);
    },
    set(fd, name, value) {
      const result: number = fsetxattr(fd, name, value, value.length, 0);
      if (result === 0) return true;
      const errno = lastErrno();
      if (errno === EOPNOTSUPP || errno === ENOSYS) return false;
      throw new SystemError('fsetxattr', errno);
    },
    remove(fd, name) {
      checked('fremovexattr', fremovexattr(fd, name));
    },
  };
}
