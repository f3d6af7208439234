import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import koffi from 'koffi';

/** From <sys/file.h> and <errno.h>; the same on every Linux architecture. */
const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');

/** Another process holds the lock. */
export class LockHeldError extends Error {
  override readonly name = 'LockHeldError';
  readonly path: string;
  /** What the holder wrote into the file; '' where it has not yet. */
  readonly note: string;

  constructor(path: string, note: string) {
    super(`${path} is locked by another process${note ? ` (${note})` : ''}`);
    this.path = path;
    this.note = note;
  }
}

/**
 * Takes flock(2) on a file and writes `note` into it for those who find it taken. The kernel frees the lock when this process
 * ends, however it ends, so there are no stale locks. The file stays: removing it would let two processes lock two files.
 * @throws LockHeldError.
 */
export async function takeFileLock(path: string, note: string): Promise<AsyncDisposable> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'a+', 0o600);
  try {
    if (flock(file.fd, LOCK_EX | LOCK_NB) !== 0) {
      const errno = koffi.errno();
      if (errno !== EWOULDBLOCK) throw new Error(`flock of ${path} failed with errno ${errno}`);
      throw new LockHeldError(path, (await readFile(path, 'utf8')).trim());
    }
    await file.truncate(0);
    await file.write(`${note}\n`);
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    async [Symbol.asyncDispose]() {
      await file.truncate(0);
      await file.close();
    },
  };
}

export interface WaitForLock {
  signal: AbortSignal;
  /** Called once where the lock is taken and the wait begins. */
  onWait: () => void;
}

const POLL_MS = 200;

/** As takeFileLock, but waits until the lock is free or `signal` aborts. */
export async function waitForFileLock(
  path: string,
  { signal, onWait }: WaitForLock,
): Promise<AsyncDisposable> {
  for (let waited = false; ; waited = true) {
    try {
      return await takeFileLock(path, `pid ${process.pid}`);
    } catch (error) {
      if (!(error instanceof LockHeldError)) throw error;
      if (!waited) onWait();
      await sleep(POLL_MS, undefined, { signal });
    }
  }
}
