import { closeSync, constants } from 'node:fs';
import { openProgram } from '@islet/posix-spawn';
import { checked } from './libc.ts';

/** The two ends of a pipe. */
export interface PipeEnds {
  read: number;
  write: number;
}

export interface WindowSize {
  cols: number;
  rows: number;
}

/** A terminal before any program runs in it. */
export interface Terminal {
  /** The master side's descriptor: what envd reads and writes. */
  master: number;
  /** Path of the side that the program opens. */
  slavePath: string;
}

/** Pipes and terminals, made close-on-exec so that no program inherits another one's. */
export interface Descriptors {
  pipe(): PipeEnds;
  openTerminal(size: WindowSize): Terminal;
  /** @throws SystemError if the terminal is gone. */
  resizeTerminal(master: number, size: WindowSize): void;
}

const O_CLOEXEC = 0o2000000;
const TIOCSWINSZ = 0x5414;

export function createDescriptors(): Descriptors {
  const program = openProgram();
  const pipe2 = program.func('int pipe2(_Out_ int *, int)');
  const openpt = program.func('int posix_openpt(int)');
  const grantpt = program.func('int grantpt(int)');
  const unlockpt = program.func('int unlockpt(int)');
  const ptsname = program.func('int ptsname_r(int, void *, size_t)');
  const ioctl = program.func('ioctl', 'int', ['int', 'ulong', 'void *']);

  const resizeTerminal = (master: number, size: WindowSize) => {
    const winsize = Buffer.alloc(8);
    winsize.writeUInt16LE(clampCells(size.rows), 0);
    winsize.writeUInt16LE(clampCells(size.cols), 2);
    checked('ioctl TIOCSWINSZ', ioctl(master, TIOCSWINSZ, winsize));
  };

  return {
    pipe() {
      const ends: [number, number] = [0, 0];
      checked('pipe2', pipe2(ends, O_CLOEXEC));
      return { read: ends[0], write: ends[1] };
    },
    openTerminal(size) {
      const master = checked('posix_openpt', openpt(constants.O_RDWR | constants.O_NOCTTY | O_CLOEXEC));
      try {
        checked('grantpt', grantpt(master));
        checked('unlockpt', unlockpt(master));
        const name = Buffer.alloc(64);
        const errno = ptsname(master, name, name.length);
        if (errno !== 0) throw new Error(`ptsname_r failed: errno ${errno}`);
        resizeTerminal(master, size);
        return { master, slavePath: name.toString('latin1', 0, name.indexOf(0)) };
      } catch (error) {
        closeSync(master);
        throw error;
      }
    },
    resizeTerminal,
  };
}

/** Cell counts are 16 bits wide in the kernel. */
function clampCells(cells: number): number {
  return Math.min(Math.max(0, cells), 0xffff);
}
