import { lastErrno, openProgram, SystemError } from './libc.ts';

/** A child that ended: `signal` is 0 where it exited by itself. */
export interface ReapedChild {
  pid: number;
  exitCode: number;
  signal: number;
  coreDumped: boolean;
}

/** `none`: there are children, none of which has ended. `childless`: there are no children at all. */
export type WaitResult = ReapedChild | 'none' | 'childless';

const WNOHANG = 1;
const ECHILD = 10;
const EINTR = 4;

/** Asks for one ended child without waiting; any child, so that orphans handed to the init process go too. */
export function createWaiter(): () => WaitResult {
  const waitpid = openProgram().func('int waitpid(int, _Out_ int *, int)');
  const status: [number] = [0];
  return () => {
    for (;;) {
      const pid: number = waitpid(-1, status, WNOHANG);
      if (pid > 0) return decodeStatus(pid, status[0]);
      if (pid === 0) return 'none';
      const errno = lastErrno();
      if (errno === ECHILD) return 'childless';
      if (errno !== EINTR) throw new SystemError('waitpid', errno);
    }
  };
}

/** Takes the kernel's wait status apart. */
export function decodeStatus(pid: number, status: number): ReapedChild {
  const signal = status & 0x7f;
  return {
    pid,
    exitCode: signal === 0 ? (status >> 8) & 0xff : -1,
    signal,
    coreDumped: (status & 0x80) !== 0,
  };
}
