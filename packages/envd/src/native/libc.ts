import koffi, { type LibraryHandle } from 'koffi';

/** A failed libc call: errno by number and name, and the call it came from. */
export class SystemError extends Error {
  readonly errno: number;
  /** The symbolic name, such as `ENOENT`. */
  readonly code: string;

  constructor(call: string, errno: number) {
    const code = errnoName(errno);
    super(`${call} failed: ${code}`);
    this.name = 'SystemError';
    this.errno = errno;
    this.code = code;
  }
}

/** `ENOENT` for 2; the number itself where it has no name. */
export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(koffi.os.errno)) if (value === errno) return name;
  return `errno ${errno}`;
}

/** errno of the calling thread's last failed call. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Throws SystemError where a call answered -1. */
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

/**
 * The symbols of the running program and the libraries it was started with.
 * Looking them up there rather than by file name keeps envd independent of the image it runs in.
 */
export function openProgram(): LibraryHandle {
  return koffi.load(null);
}
