import { errnoName, openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

export interface OpenOptions {
  flags: number;
  /** Permission bits of a file that is made. */
  mode?: number;
  /** False: a symbolic link anywhere on the way is an error (ELOOP). */
  followLinks: boolean;
}

/**
 * Opens a path below an open directory and never anything outside of it: neither `..`, nor absolute or relative links, nor
 * mounts lead out (EXDEV). The caller closes the descriptor. @throws Error with an errno's name as `code`
 */
export type OpenBeneath = (directory: number, path: string | Buffer, options: OpenOptions) => number;

/** The same number on every architecture that Node runs on. */
const SYS_OPENAT2 = 437;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
/** struct open_how: flags, mode, resolve, 64 bits each. */
const OPEN_HOW_BYTES = 24;
/** The kernel gives up on links with `..` where something is renamed meanwhile (EAGAIN). */
const ATTEMPTS = 32;

/** openat2, which Node does not have: checking a path first and opening it then would lose a race against the sandbox. */
export function createOpenBeneath(): OpenBeneath {
  const syscall = openProgram().func('syscall', 'long', ['long', 'long', 'const void *', 'void *', 'size_t']);
  return (directory, path, { flags, mode = 0, followLinks }) => {
    const how = Buffer.alloc(OPEN_HOW_BYTES);
    const resolve =
      RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | (followLinks ? 0 : RESOLVE_NO_SYMLINKS);
    how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
    how.writeBigUInt64LE(BigInt(mode), 8);
    how.writeBigUInt64LE(BigInt(resolve), 16);
    const terminated = Buffer.concat([typeof path === 'string' ? Buffer.from(path) : path, Buffer.of(0)]);
    for (let attempt = 1; ; attempt++) {
      const descriptor = Number(syscall(SYS_OPENAT2, directory, terminated, how, how.length));
      if (descriptor >= 0) return descriptor;
      const errno = koffi.errno();
      const passing = errnoName(errno) === 'EAGAIN' || errnoName(errno) === 'EINTR';
      if (!passing || attempt === ATTEMPTS) throw new SystemError(`openat2 of '${path}'`, errno);
    }
  };
}
