import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = '/sys/fs/cgroup';
const GONE_DEADLINE_MS = 10_000;

/**
 * A cgroup whose processes run on what nobody else wants of the processors, as if on a machine of their own beside this
 * one. To be nice is not enough: a session's processes share a weight, which is that of any other session's.
 */
export class IdleGroup implements AsyncDisposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** @throws Error if the host has no CPU controller that knows of idle groups (Linux 5.15). */
  static async open(name: string): Promise<IdleGroup> {
    const isV2 = existsSync(join(ROOT, 'cgroup.controllers'));
    if (isV2) await writeFile(join(ROOT, 'cgroup.subtree_control'), '+cpu');
    const dir = join(ROOT, ...(isV2 ? [] : ['cpu']), name);
    await mkdir(dir, { recursive: true });
    const group = new IdleGroup(dir);
    await group.setIdle(true);
    return group;
  }

  /** While it is not idle, its processes are as others are. */
  async setIdle(idle: boolean): Promise<void> {
    await writeFile(join(this.#dir, 'cpu.idle'), idle ? '1' : '0');
  }

  /** Starts a program of Node's in it, and in a session of its own. Its stdin and stdout are pipes. */
  start(program: string, args: readonly string[]): ChildProcess {
    const entry = 'echo $$ >"$1" && shift && exec "$@"';
    const command = [process.execPath, '--import', 'tsx', program, ...args];
    return spawn('sh', ['-c', entry, 'sh', join(this.#dir, 'cgroup.procs'), ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
  }

  /** Ends all that is in it. @throws Error if that takes 10 s. */
  async clear(): Promise<void> {
    const deadline = performance.now() + GONE_DEADLINE_MS;
    for (;;) {
      const pids = (await readFile(join(this.#dir, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean);
      if (pids.length === 0) return;
      if (performance.now() > deadline) throw new Error(`processes of ${this.#dir} do not end`);
      for (const pid of pids) endProcess(Number(pid));
      await sleep(5);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.setIdle(false);
    await this.clear();
    await rmdir(this.#dir);
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
