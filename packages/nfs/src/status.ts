/** Statuses of NFSv3 (RFC 1813, 2.6), by the name that system calls have for them. */
const STATUS = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EACCES: 13,
  EEXIST: 17,
  EXDEV: 18,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ENAMETOOLONG: 63,
  ENOTEMPTY: 66,
  EDQUOT: 69,
  ESTALE: 70,
  /** A handle that this server never gave. */
  EBADHANDLE: 10_001,
  /** A place in a directory that there is not. */
  EBADCOOKIE: 10_003,
  ENOTSUP: 10_004,
  /** What the client has room for. */
  ETOOSMALL: 10_005,
} as const;

export const STATUS_OK = 0;

export type NfsCode = keyof typeof STATUS;

/** A request that is refused, with the reason that the protocol has for it. */
export class NfsError extends Error {
  readonly code: NfsCode;

  constructor(code: NfsCode, message: string) {
    super(message);
    this.name = 'NfsError';
    this.code = code;
  }
}

/** The status that tells a client of an error; undefined if it is none that its request may meet with. */
export function statusOf(error: unknown): number | undefined {
  const { code } = error as { code?: string };
  // It is a link, if something is to be read or written.
  if (code === 'ELOOP') return STATUS.EINVAL;
  return code !== undefined && Object.hasOwn(STATUS, code) ? STATUS[code as NfsCode] : undefined;
}
