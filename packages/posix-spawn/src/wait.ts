import koffi from 'koffi';
import { openProgram, SystemError } from './libc.ts';

/** How a process ended: `signal` is 0 if it exited by itself, `exitCode` -1 if it did not. */
export interface WaitStatus {
  exitCode: number;
  signal: number;
  coreDumped: boolean;
}

export interface EndedChild extends WaitStatus {
  pid: number;
}

/** A child that ended; `none`: no such child has; `childless`: there is no such child. */
export type Waited = EndedChild | 'none' | 'childless';

/** Collects an ended child without waiting: the one with this pid, or any if it is -1. @throws SystemError */
export type Waitpid = (pid: number) => Waited;

const WNOHANG = 1;
const ECHILD = 10;
const EINTR = 4;

export function openWaitpid(): Waitpid {
  const waitpid = openProgram().func('int waitpid(int, _Out_ int *, int)');
  return (pid) => {
    const status: [number] = [0];
    for (;;) {
      const found: number = waitpid(pid, status, WNOHANG);
      if (found > 0) return { pid: found, ...decodeStatus(status[0]) };
      if (found === 0) return 'none';
      const errno = koffi.errno();
      if (errno === ECHILD) return 'childless';
      if (errno !== EINTR) throw new SystemError('waitpid', errno);
    }
  };
}

/** Takes the kernel's wait status apart. */
export function decodeStatus(status: number): WaitStatus {
  const signal = status & 0x7f;
  return {
    exitCode: signal === 0 ? (status >> 8) & 0xff : -1,
    signal,
    coreDumped: (status & 0x80) !== 0,
  };
}
