import { constants } from 'node:fs';
import {
  openPosixSpawn,
  openProgram,
  openScheduling,
  openWaitpid,
  SystemError,
  type WaitStatus,
} from '@islet/posix-spawn';
import koffi from 'koffi';

/** What a program is started with. Descriptors become its own 0, 1 and 2; undefined ones are /dev/null. */
export interface ProgramStart {
  file: string;
  args: readonly string[];
  stdin: number | undefined;
  stdout: number | undefined;
  stderr: number | undefined;
  /** How long it runs before others have their turn, ns; see `Schedule`. Where unset, the kernel decides. */
  sliceNs?: number | undefined;
}

export interface StartedProgram {
  pid: number;
  ended: Promise<WaitStatus>;
}

/** Starts host programs at a cost that does not depend on the size of this process. */
export interface Spawner {
  /** Looks `file` up in PATH. @throws SystemError if there is no such program or no room for another process. */
  start(program: ProgramStart): StartedProgram;
  /** A descriptor of an anonymous file in memory, closed in started programs unless it is given to them. */
  memoryFile(name: string): number;
  /** Programs that still run are not waited for any more. */
  close(): void;
}

const MFD_CLOEXEC = 1;

export function openSpawner(): Spawner {
  const spawn = openPosixSpawn({ session: 'inherited' });
  const waitpid = openWaitpid();
  const memfdCreate = openProgram().func('int memfd_create(const char *, uint)');

  const scheduling = openScheduling();

  const running = new Map<number, (end: WaitStatus) => void>();
  /** Only programs started here are waited for: Node waits for its own. */
  const reap = () => {
    for (const [pid, end] of running) {
      const found = waitpid(pid);
      if (found === 'none') continue;
      running.delete(pid);
      // Where somebody else has collected it, how it ended cannot be known.
      end(found === 'childless' ? { exitCode: -1, signal: 0, coreDumped: false } : found);
    }
  };
  process.on('SIGCHLD', reap);

  /**
   * A program inherits the slice of the thread that starts it: it is this one's own while `start` runs, and no longer. What
   * this thread has besides, the program does not get.
   */
  const withSlice = <T>(sliceNs: number | undefined, start: () => T): T => {
    if (sliceNs === undefined) return start();
    const own = scheduling.get(0);
    try {
      scheduling.set(0, { nice: Math.max(own.nice, 0), sliceNs, keepsItToItself: false });
    } catch (error) {
      // Without CAP_SYS_NICE a thread cannot hand on what it once kept to itself: the kernel decides.
      if (!(error instanceof SystemError) || error.code !== 'EPERM') throw error;
      return start();
    }
    try {
      return start();
    } finally {
      scheduling.set(0, own);
    }
  };

  return {
    start({ file, args, stdin, stdout, stderr, sliceNs }) {
      const steps = [stdin, stdout, stderr].map((from, to) =>
        from === undefined
          ? ({ step: 'open', fd: to, path: '/dev/null', flags: constants.O_RDWR } as const)
          : ({ step: 'dup', from, to } as const),
      );
      const pid = withSlice(sliceNs, () => spawn({ file, argv: [file, ...args], env: process.env, steps }));
      const ended = new Promise<WaitStatus>((resolve) => running.set(pid, resolve));
      return { pid, ended };
    },
    memoryFile(name) {
      const descriptor: number = memfdCreate(name, MFD_CLOEXEC);
      if (descriptor === -1) throw new SystemError('memfd_create', koffi.errno());
      return descriptor;
    },
    close() {
      process.off('SIGCHLD', reap);
    },
  };
}
