import { type FileHandle, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
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
 * ends, however it ends, so there are no stale locks; a file that such an end leaves is simply locked by the next.
 * @throws LockHeldError.
 */
export async function takeFileLock(path: string, note: string): Promise<AsyncDisposable> {
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    const file = await open(path, 'a+', 0o600);
    try {
      if (flock(file.fd, LOCK_EX | LOCK_NB) !== 0) {
        const errno = koffi.errno();
        if (errno !== EWOULDBLOCK) throw new Error(`flock of ${path} failed with errno ${errno}`);
        throw new LockHeldError(path, (await readFile(path, 'utf8').catch(() => '')).trim());
      }
      // Whoever held it last may have removed the file between our open and our lock: then this locks nothing.
      if (await isSameFile(file, path)) {
        await file.truncate(0);
        await file.write(`${note}\n`);
        return {
          async [Symbol.asyncDispose]() {
            await rm(path, { force: true });
            await file.close();
          },
        };
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
  }
}

async function isSameFile(file: FileHandle, path: string): Promise<boolean> {
  const named = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return named !== undefined && named.ino === (await file.stat()).ino;
}

export interface WaitForLock {
  signal: AbortSignal;
  /** Called once if the lock is taken and the wait begins. */
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
