import { openProgram } from '@islet/posix-spawn';
import { checked, syscallNumbers } from './libc.ts';

/** What envd changes of the (virtual) machine it runs on. */
export interface Machine {
  setHostname(name: string): void;
  /** Steps the wall clock. @throws SystemError where the kernel does not allow it. */
  setClock(unixMs: number): void;
  /** Sends SIGKILL to every process but this one, which has to be the init process. */
  endOtherProcesses(): void;
  /** Kernel randomness, read anew each time: never from a buffer that a memory snapshot could have copied. */
  randomBytes(length: number): Buffer;
  /** Makes OpenSSL's generators start anew from kernel randomness. @returns false where this Node does not let us. */
  reseedOpenssl(): boolean;
}

const CLOCK_REALTIME = 0;

export function createMachine(arch: string = process.arch): Machine {
  const program = openProgram();
  const numbers = syscallNumbers(arch);
  const sethostname = program.func('int sethostname(const char *, size_t)');
  const settime = program.func('int clock_settime(int, void *)');
  const getrandom = program.func('syscall', 'long', ['long', 'void *', 'size_t', 'uint']);
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
    reseedOpenssl: () => reseed !== undefined && reseed() === 1,
  };
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

/** True where programs gain no rights by their set-user-ID bit: in containers set so, and always under older gVisor. */
export function hasNoNewPrivileges(): boolean {
  const prctl = openProgram().func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']);
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) === 1;
}
