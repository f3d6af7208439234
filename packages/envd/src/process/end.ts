import type { WaitStatus } from '@islet/posix-spawn';

/** How a process ended, as clients see it. */
export interface ProcessEnd {
  /** -1 if a signal ended it. */
  exitCode: number;
  exited: boolean;
  status: string;
  /** The status if it was no success. */
  error: string | undefined;
}

/** Names of signals in end events. */
const SIGNAL_TEXT: Record<number, string> = {
  1: 'hangup',
  2: 'interrupt',
  3: 'quit',
  4: 'illegal instruction',
  5: 'trace/breakpoint trap',
  6: 'aborted',
  7: 'bus error',
  8: 'floating point exception',
  9: 'killed',
  10: 'user defined signal 1',
  11: 'segmentation fault',
  12: 'user defined signal 2',
  13: 'broken pipe',
  14: 'alarm clock',
  15: 'terminated',
};

/** The end event's fields for an exit code. */
export function exitedWith(exitCode: number): ProcessEnd {
  const status = `exit status ${exitCode}`;
  return { exitCode, exited: true, status, error: exitCode === 0 ? undefined : status };
}

/** The end event's fields for what the kernel reported. */
export function endOf(child: WaitStatus): ProcessEnd {
  if (child.signal === 0) return exitedWith(child.exitCode);
  const text = SIGNAL_TEXT[child.signal] ?? `signal ${child.signal}`;
  const status = `signal: ${text}${child.coreDumped ? ' (core dumped)' : ''}`;
  return { exitCode: -1, exited: false, status, error: status };
}
