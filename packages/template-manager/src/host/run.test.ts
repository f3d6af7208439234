import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BuildCommandError, runBuildCommand } from './run.ts';

const never = new AbortController().signal;
/** Namespaces need root, which `npm test` has. */
const asRoot = it.runIf(process.getuid?.() === 0);

describe('a build command', () => {
  it('hands over each line of both outputs', async () => {
    const lines: string[] = [];
    const command = ['sh', '-c', 'echo one; echo two >&2; printf three'];
    await runBuildCommand({ command, onLine: (line) => lines.push(line), signal: never });
    expect(lines.sort()).toEqual(['one', 'three', 'two']);
  });

  it('fails with the complaints it printed', async () => {
    const command = ['sh', '-c', 'echo noise; echo "E: no such package: nope" >&2; exit 3'];
    const running = runBuildCommand({ command, onLine: () => {}, signal: never });
    await expect(running).rejects.toThrow(BuildCommandError);
    await expect(running).rejects.toThrow(/ended with 3:\nE: no such package: nope$/);
  });

  it('fails if there is no such program', async () => {
    const running = runBuildCommand({ command: ['/no/such/program'], onLine: () => {}, signal: never });
    await expect(running).rejects.toThrow(/ENOENT/);
  });

  it('ends with all it started when it is aborted', async () => {
    const controller = new AbortController();
    const pids: number[] = [];
    const running = runBuildCommand({
      command: ['sh', '-c', 'sleep 600 & echo $!; sleep 600'],
      onLine: (line) => {
        pids.push(Number(line));
        controller.abort(new Error('enough'));
      },
      signal: controller.signal,
    });
    await expect(running).rejects.toThrow('enough');
    expect(pids).toHaveLength(1);
    await gone(pids[0] as number);
  });

  asRoot('leaves no mount and no process of its namespaces behind', async () => {
    const controller = new AbortController();
    const marker = `islet-run-test-${process.pid}`;
    const running = runBuildCommand({
      command: [
        ...['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child=KILL'],
        // The one that leaves the process group is held by the pid namespace alone.
        ...[
          'sh',
          '-c',
          `mount -t tmpfs ${marker} /mnt; setsid sh -c 'exec sleep 600.${process.pid}' & echo up; wait`,
        ],
      ],
      onLine: () => controller.abort(new Error('enough')),
      signal: controller.signal,
    });
    await expect(running).rejects.toThrow('enough');
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(marker);
    const commands = await Promise.all(
      (await readdir('/proc'))
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
    );
    expect(commands.filter((command) => command.includes(`600.${process.pid}`))).toEqual([]);
  });
});

/** Waits until a process is gone or a zombie that its new parent has not collected yet. */
async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State: Z');
    if (/^State:\s+[ZX]/m.test(status)) return;
    await sleep(20);
  }
}
