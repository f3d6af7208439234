import { closeSync, openSync, readSync } from 'node:fs';
import { openProgram } from '@islet/posix-spawn';
import { checked, syscallNumbers } from './libc.ts';

/** What envd changes of the (virtual) machine it runs on. */
export interface Machine {
  setHostname(name: string): void;
  /** Steps the wall clock. @throws SystemError if the kernel does not allow it. */
  setClock(unixMs: number): void;
  /** Sends SIGKILL to every process but this one, which has to be the init process. */
  endOtherProcesses(): void;
  /** Kernel randomness, read anew each time: never from a buffer that a memory snapshot could have copied. */
  randomBytes(length: number): Buffer;
  /**
   * Gives the kernel's own generator new entropy from the host and makes it start anew. Only in a virtual machine: a restored
   * kernel goes on from the state in the snapshot. @returns false if no device brings entropy from outside.
   */
  reseedKernel(): boolean;
  /** Makes OpenSSL's generators start anew from kernel randomness. @returns false if this Node does not let us. */
  reseedOpenssl(): boolean;
}

const CLOCK_REALTIME = 0;

const ENTROPY_DEVICE = '/dev/hwrng';
/** More than driver and kernel may still hold from before the snapshot: 64 bytes each in Linux 6.12. */
const ENTROPY_BYTES = 512;
/** From linux/random.h; the same on x86-64 and arm64. */
const RNDADDENTROPY = 0x40085203;
const RNDRESEEDCRNG = 0x5207;

export function createMachine(arch: string = process.arch): Machine {
  const program = openProgram();
  const numbers = syscallNumbers(arch);
  const sethostname = program.func('int sethostname(const char *, size_t)');
  const settime = program.func('int clock_settime(int, void *)');
  const getrandom = program.func('syscall', 'long', ['long', 'void *', 'size_t', 'uint']);
  const ioctl = program.func('int ioctl(int, ulong, void *)');
  const reseed = openReseed(program);

  return {
    setHostname(name) {
      checked('sethostname', sethostname(name, Buffer.byteLength(name)));
    },
    setClock(unixMs) {
      const spec = Buffer.alloc(16);
      const seconds = Math.floor(unixMs / 1000);
      spec.writeBigInt64LE(BigInt(seconds), 0);
      spec.writeBigInt64LE(BigInt(Math.round((unixMs - seconds * 1000) * 1e6)), 8);
      checked('clock_settime', settime(CLOCK_REALTIME, spec));
    },
    endOtherProcesses() {
      try {
        process.kill(-1, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // there are none
      }
    },
    randomBytes(length) {
      const bytes = Buffer.alloc(length);
      for (let filled = 0; filled < length; ) {
        const into = bytes.subarray(filled);
        filled += checked('getrandom', Number(getrandom(numbers.getrandom, into, into.length, 0)));
      }
      return bytes;
    },
    reseedKernel() {
      const entropy = readEntropy();
      if (!entropy) return false;
      const pool = openSync('/dev/urandom', 'r+');
      try {
        // struct rand_pool_info: bits, bytes, and the bytes.
        const info = Buffer.alloc(8 + entropy.length);
        info.writeInt32LE(8 * entropy.length, 0);
        info.writeInt32LE(entropy.length, 4);
        entropy.copy(info, 8);
        checked('RNDADDENTROPY', ioctl(pool, RNDADDENTROPY, info));
        checked('RNDRESEEDCRNG', ioctl(pool, RNDRESEEDCRNG, null));
      } finally {
        closeSync(pool);
      }
      return true;
    },
    reseedOpenssl: () => reseed !== undefined && reseed() === 1,
  };
}

/** Undefined if there is no such device, as under gVisor, whose generator is the host's. */
function readEntropy(): Buffer | undefined {
  let device: number;
  try {
    device = openSync(ENTROPY_DEVICE, 'r');
  } catch (error) {
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(ENTROPY_BYTES);
    for (let filled = 0; filled < bytes.length; ) {
      const count = readSync(device, bytes, filled, bytes.length - filled, null);
      if (count === 0) throw new Error(`${ENTROPY_DEVICE} has ended`);
      filled += count;
    }
    return bytes;
  } finally {
    closeSync(device);
  }
}

/** RAND_poll reseeds the primary generator; the per-thread ones notice and follow before their next output. */
function openReseed(program: ReturnType<typeof openProgram>): (() => number) | undefined {
  try {
    return program.func('int RAND_poll(void)');
  } catch {
    return undefined; // a Node linked against a private OpenSSL: nothing in envd draws from it, see randomBytes
  }
}

/** Whether a table as in /proc/mounts says that a file system in memory is mounted at `path`. */
export function isInMemory(mounts: string, path: string): boolean {
  return mounts.split('\n').some((line) => {
    const [, where, kind] = line.split(' ');
    return where === path && kind === 'tmpfs';
  });
}

const PR_GET_NO_NEW_PRIVS = 39;

/** True if programs gain no rights by their set-user-ID bit: in containers set so, and always under older gVisor. */
export function hasNoNewPrivileges(): boolean {
  const prctl = openProgram().func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']);
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) === 1;
}
