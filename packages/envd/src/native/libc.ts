import { SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

/** errno of the calling thread's last failed call. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Throws SystemError if a call answered -1. */
export function checked(call: string, result: number): number {
  if (result === -1) throw new SystemError(call, koffi.errno());
  return result;
}

/** Numbers of the raw system calls that envd makes, by architecture. */
const SYSCALL_NUMBERS: Record<
  string,
  { setgroups: number; setresuid: number; setresgid: number; getrandom: number; pivotRoot: number }
> = {
  x64: { setgroups: 116, setresuid: 117, setresgid: 119, getrandom: 318, pivotRoot: 155 },
  arm64: { setgroups: 159, setresuid: 147, setresgid: 149, getrandom: 278, pivotRoot: 41 },
};

export type Syscalls = (typeof SYSCALL_NUMBERS)[string];

/** @throws Error on an architecture whose numbers are not known. */
export function syscallNumbers(arch: string): Syscalls {
  const numbers = SYSCALL_NUMBERS[arch];
  if (!numbers) throw new Error(`envd does not run on ${arch}: its system call numbers are not known here`);
  return numbers;
}
