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

/** `ENOENT` for 2; `errno <n>` where it has no name. */
export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(koffi.os.errno)) if (value === errno) return name;
  return `errno ${errno}`;
}

/**
 * The symbols of the running program and the libraries it was started with. Looking them up there rather than by file name
 * makes no difference between hosts, nor between the images that envd runs in.
 */
export function openProgram(): LibraryHandle {
  return koffi.load(null);
}
