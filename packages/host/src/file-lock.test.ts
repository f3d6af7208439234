import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LockHeldError, takeFileLock, waitForFileLock } from './file-lock.ts';

describe('a file lock', () => {
  let dir: string;
  let path: string;
  const children: ReturnType<typeof spawn>[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-lock-'));
    path = join(dir, 'sub/islet.lock');
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(dir, { recursive: true, force: true });
  });

  /** Another process that holds the lock, by util-linux's flock. */
  async function holder() {
    const child = spawn(
      'flock',
      ['--no-fork', path, 'sh', '-c', 'echo "pid $$" > "$0"; echo held; exec sleep 600', path],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    children.push(child);
    await once(child.stdout, 'data');
    return child;
  }

  it('is refused while it is held, with what the holder wrote, and free again afterwards', async () => {
    const lock = await takeFileLock(path, 'pid 1234');
    const second = takeFileLock(path, 'pid 5678');
    await expect(second).rejects.toThrow(LockHeldError);
    await expect(second).rejects.toMatchObject({ note: 'pid 1234' });
    await lock[Symbol.asyncDispose]();
    expect(existsSync(path)).toBe(false);
    await (await takeFileLock(path, 'again'))[Symbol.asyncDispose]();
  });

  it('excludes other processes', async () => {
    await (await takeFileLock(path, ''))[Symbol.asyncDispose]();
    const child = await holder();
    await expect(takeFileLock(path, '')).rejects.toMatchObject({ note: expect.stringMatching(/^pid \d+$/) });
    expect(child.exitCode).toBeNull();
  });

  it('is taken over from a holder that was killed: there are no stale locks', async () => {
    await (await takeFileLock(path, ''))[Symbol.asyncDispose]();
    const child = await holder();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(existsSync(path)).toBe(true);
    await (await takeFileLock(path, 'mine'))[Symbol.asyncDispose]();
  });

  it('is waited for, telling once that it waits', async () => {
    const lock = await takeFileLock(path, 'first');
    let told = 0;
    const signal = new AbortController().signal;
    const waiting = waitForFileLock(path, {
      signal,
      onWait: () => {
        told++;
        void lock[Symbol.asyncDispose]();
      },
    });
    await (await waiting)[Symbol.asyncDispose]();
    expect(told).toBe(1);
  });

  it('is not waited for any more once the wait is aborted', async () => {
    const lock = await takeFileLock(path, 'first');
    const controller = new AbortController();
    const onWait = () => controller.abort(new Error('enough'));
    await expect(waitForFileLock(path, { signal: controller.signal, onWait })).rejects.toThrow();
    await lock[Symbol.asyncDispose]();
  });

  it('never has two holders however many take it at once', async () => {
    let holders = 0;
    let most = 0;
    const signal = new AbortController().signal;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const lock = await waitForFileLock(path, { signal, onWait: () => {} });
        most = Math.max(most, ++holders);
        await new Promise((resolve) => setImmediate(resolve));
        holders--;
        await lock[Symbol.asyncDispose]();
      }),
    );
    expect(most).toBe(1);
  });
});
