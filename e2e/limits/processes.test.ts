import { CommandExitError, type Sandbox } from 'e2b';
import { describe, expect, it } from 'vitest';
import { rejection, withSandbox } from '../sdk/sandbox.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { until } from '../setup/until.ts';

/** Without KVM a virtual machine starts some ten programs a second. */
const PATIENCE_MS = VIRTUAL_MACHINES ? 250_000 : 100_000;

/** Starts shells that wait for a writer who never comes, and counts them, until it is refused one more. */
const START_MANY = `sh -c '
[ -e /tmp/never ] || mkfifo /tmp/never
n=0
while :; do (exec > /dev/null 2>&1; read line < /tmp/never) & n=$((n+1)); echo $n; done'`;

const START_THREADS = `python3 -c '
import threading, time
count = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        count += 1
except RuntimeError as error:
    print(count, error, flush=True)
'`;

/** The limit that docs/limits.md names: one a MiB of memory, 256 at least. */
async function limitOf(sandbox: Sandbox): Promise<number> {
  return Math.max(256, (await sandbox.getInfo()).memoryMB);
}

/** gVisor lets some more through if they come fast: up to 4 % were seen. */
function expectNear(count: number, most: number): void {
  expect(count).toBeGreaterThan(most * 0.9);
  expect(count).toBeLessThan(most * 1.1);
}

/** Ends what was started; also what has ended counts until it has been collected. */
async function killAll(sandbox: Sandbox): Promise<void> {
  const left = 'pkill -KILL -x sh; ps -eo comm= | grep -c -x -E "sh( <defunct>)?" | cat';
  await until(
    'none is left',
    30_000,
    async () => (await sandbox.commands.run(left, { user: 'root' })).stdout,
    (count) => count === '0\n',
  );
}

/** How many programs could be started before one was refused. */
async function startMany(sandbox: Sandbox, command = START_MANY, user = 'user'): Promise<number> {
  const refused = await rejection(sandbox.commands.run(command, { user, timeoutMs: PATIENCE_MS }));
  expect(refused).toBeInstanceOf(CommandExitError);
  const { stdout, stderr } = refused as CommandExitError;
  expect(stderr).toContain('Cannot fork');
  return Number(stdout.trim().split('\n').at(-1));
}

describe('the number of a sandbox’s processes', { timeout: 4 * PATIENCE_MS }, () => {
  it('ends at its limit with an error to the program that wants more; others start when there is room again', async () => {
    await withSandbox({ timeoutMs: 6 * PATIENCE_MS }, async (sandbox) => {
      const started = await startMany(sandbox);
      expectNear(started, await limitOf(sandbox));
      // Whoever clears up can do so, with programs of their own.
      const { stdout } = await sandbox.commands.run('pgrep -c -x sh | cat');
      expect(Number(stdout)).toBe(started);
      await killAll(sandbox);
      expect((await sandbox.commands.run('(echo a; (echo b)) | cat')).stdout).toBe('a\nb\n');
    });
  });

  it('counts threads', async () => {
    await withSandbox({ timeoutMs: 6 * PATIENCE_MS }, async (sandbox) => {
      const { stdout } = await sandbox.commands.run(START_THREADS);
      expect(stdout).toMatch(/^\d+ can't start new thread\n$/);
      expectNear(Number.parseInt(stdout, 10), await limitOf(sandbox));
    });
  });

  it('holds for what root and sudo start', { tags: 'long' }, async () => {
    await withSandbox({ timeoutMs: 6 * PATIENCE_MS }, async (sandbox) => {
      const most = await limitOf(sandbox);
      expectNear(await startMany(sandbox, `sudo ${START_MANY}`), most);
      await killAll(sandbox);
      expectNear(await startMany(sandbox, START_MANY, 'root'), most);
    });
  });

  it('is the same after a pause, with what runs counted', { tags: 'long' }, async () => {
    await withSandbox({ timeoutMs: 6 * PATIENCE_MS }, async (sandbox) => {
      await sandbox.commands.run('for i in $(seq 200); do sleep 600 > /dev/null 2>&1 & done');
      await sandbox.pause();
      const resumed = await sandbox.connect();
      expectNear((await startMany(resumed)) + 200, await limitOf(resumed));
    });
  });
});
