import { CommandExitError, TimeoutError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { lines, rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
const background = { background: true } as const;

/** The processes whose command line holds `marker`, as the sandbox itself sees them. */
async function countOf(marker: string): Promise<number> {
  const { stdout } = await sandbox.current.commands.run(
    `pgrep -fc '[${marker[0]}]${marker.slice(1)}' || true`,
  );
  return Number(stdout);
}

describe('the list of commands', () => {
  it('holds what runs, as it was started, and nothing that has ended', async () => {
    const { commands } = sandbox.current;
    expect(await commands.list()).toEqual([]);
    const handle = await commands.run('sleep 30', { ...background, envs: { A: 'b' }, cwd: '/tmp' });
    const bare = await commands.run('sleep 31', background);
    const listed = (await commands.list()).toSorted((one, other) => one.pid - other.pid);
    expect(listed).toEqual([
      { pid: handle.pid, cmd: '/bin/bash', args: ['-l', '-c', 'sleep 30'], envs: { A: 'b' }, cwd: '/tmp' },
      { pid: bare.pid, cmd: '/bin/bash', args: ['-l', '-c', 'sleep 31'], envs: {} },
    ]);
    await Promise.all([handle.kill(), bare.kill()]);
    await until(
      'nothing is listed',
      5_000,
      () => commands.list(),
      (list) => list.length === 0,
    );
  });
});

describe('kill', () => {
  it('ends a command by its handle', async () => {
    const handle = await sandbox.current.commands.run('echo before; exec sleep 30', background);
    await until(
      'its output is there',
      5_000,
      () => handle.stdout,
      (text) => text !== '',
    );
    expect(await handle.kill()).toBe(true);
    const error = await rejection(handle.wait());
    expect(error).toBeInstanceOf(CommandExitError);
    expect(error).toMatchObject({ exitCode: -1, error: 'signal: killed', stdout: 'before\n' });
    expect(handle).toMatchObject({ exitCode: -1, error: 'signal: killed', stdout: 'before\n' });
  });

  it('ends a command by its process id, whoever runs it', async () => {
    const { commands } = sandbox.current;
    const handle = await commands.run('sleep 30', { ...background, user: 'root' });
    expect(await commands.kill(handle.pid)).toBe(true);
    expect(await rejection(handle.wait())).toMatchObject({ exitCode: -1 });
    expect(
      await until(
        'gone',
        5_000,
        () => commands.kill(handle.pid),
        (killed) => !killed,
      ),
    ).toBe(false);
  });

  it('ends one that ignores every other signal', async () => {
    const handle = await sandbox.current.commands.run(
      'trap "" TERM INT HUP; echo set; while :; do sleep 1; done',
      background,
    );
    await until(
      'the trap is set',
      5_000,
      () => handle.stdout,
      (text) => text !== '',
    );
    await handle.kill();
    expect(await rejection(handle.wait())).toMatchObject({ error: 'signal: killed' });
  });

  it('is false for a process that is not there', async () => {
    expect(await sandbox.current.commands.kill(4_000_000)).toBe(false);
  });

  it('is false for a process that was not started through the SDK', async () => {
    expect(await sandbox.current.commands.kill(1)).toBe(false);
    expect(await sandbox.current.isRunning()).toBe(true);
  });
});

describe('the timeout of a command', () => {
  it('kills it, and is told as one', async () => {
    const command = 'echo started; exec sleep 3133';
    const error = await rejection(sandbox.current.commands.run(command, { timeoutMs: 500 }));
    expect(error).toBeInstanceOf(TimeoutError);
    await until(
      'the program is gone',
      5_000,
      () => countOf('sleep 3133'),
      (count) => count === 0,
    );
  });

  it('of 0 is none', async () => {
    expect((await sandbox.current.commands.run('sleep 1.2; echo done', { timeoutMs: 0 })).stdout).toBe(
      'done\n',
    );
  });

  it('does not matter to one that ends before', async () => {
    expect((await sandbox.current.commands.run('echo quick', { timeoutMs: 30_000 })).stdout).toBe('quick\n');
  });

  it('ends a command in the background, too', async () => {
    // Its time may be over before it is told that it has started.
    const started = sandbox.current.commands.run('sleep 3134', { ...background, timeoutMs: 400 });
    expect(await rejection(started.then((handle) => handle.wait()))).toBeInstanceOf(TimeoutError);
    await until(
      'the shell is gone',
      5_000,
      () => sandbox.current.commands.list(),
      (list) => list.every(({ args }) => !args.includes('sleep 3134')),
    );
  });
});

describe('an abandoned command', () => {
  it('goes on after disconnect, and can be connected to again', async () => {
    const { commands, files } = sandbox.current;
    const first = await commands.run(
      'echo early; until [ -e onwards ]; do sleep 0.05; done; echo late',
      background,
    );
    await until(
      'the first output',
      5_000,
      () => first.stdout,
      (text) => text !== '',
    );
    await first.disconnect();
    expect((await commands.list()).map(({ pid }) => pid)).toContain(first.pid);
    const told: string[] = [];
    const second = await commands.connect(first.pid, { onStdout: (text) => void told.push(text) });
    expect(second.pid).toBe(first.pid);
    await files.write('/home/user/onwards', '');
    expect(await second.wait()).toMatchObject({ exitCode: 0, stdout: 'late\n' });
    expect(told).toEqual(['late\n']);
    expect(first.stdout).toBe('early\n');
  });

  it('tells its end to whoever connects shortly after', async () => {
    const { commands } = sandbox.current;
    const handle = await commands.run('exit 7', background);
    expect(await rejection(handle.wait())).toMatchObject({ exitCode: 7 });
    const late = await commands.connect(handle.pid);
    expect(await rejection(late.wait())).toMatchObject({ exitCode: 7, stdout: '' });
  });

  it('goes on when its caller aborts', async () => {
    const { commands } = sandbox.current;
    const caller = new AbortController();
    const handle = await commands.run('sleep 3135', { ...background, signal: caller.signal });
    const waiting = rejection(handle.wait());
    caller.abort();
    expect(await waiting).toBeInstanceOf(Error);
    expect(await countOf('sleep 3135')).toBeGreaterThan(0);
    expect(await commands.kill(handle.pid)).toBe(true);
  });

  it('cannot be connected to where it never was', async () => {
    expect(await rejection(sandbox.current.commands.connect(4_000_000))).toMatchObject({
      name: 'NotFoundError',
      message: expect.stringContaining('process with pid 4000000 not found'),
    });
  });

  it('has as many listeners as connect', async () => {
    const { commands, files } = sandbox.current;
    const first = await commands.run('until [ -e all ]; do sleep 0.05; done; echo to all', background);
    const others = await Promise.all([1, 2, 3, 4].map(() => commands.connect(first.pid)));
    await files.write('/home/user/all', '');
    const results = await Promise.all([first, ...others].map((handle) => handle.wait()));
    expect(results.map(({ stdout }) => stdout)).toEqual(Array(5).fill('to all\n'));
  });
});

describe('a child in the background', () => {
  it('keeps the command open while it holds its output', async () => {
    const { stdout } = await sandbox.current.commands.run('(sleep 0.7; echo child) & echo parent');
    expect(lines(stdout)).toEqual(['parent', 'child']);
  });

  it('does not where its output goes elsewhere, and outlives it', async () => {
    const { commands } = sandbox.current;
    await commands.run('nohup sleep 3136 >/dev/null 2>&1 &');
    expect(await countOf('sleep 3136')).toBe(1);
    // Commands that the tests before have killed may still be ending.
    await expect.poll(() => commands.list()).toEqual([]);
    await commands.run('pkill -f "[s]leep 3136"');
  });

  it('does not keep a killed command open', async () => {
    const handle = await sandbox.current.commands.run('sleep 3137 & echo started; wait', background);
    await until(
      'it has started',
      5_000,
      () => handle.stdout,
      (text) => text !== '',
    );
    await handle.kill();
    expect(await rejection(handle.wait())).toMatchObject({ error: 'signal: killed' });
    await sandbox.current.commands.run('pkill -f "[s]leep 3137"');
  });

  it('leaves no zombie behind', async () => {
    await sandbox.current.commands.run('(sleep 0.1 &) ; setsid -f sleep 0.1; sleep 0.3');
    await until(
      'no zombies',
      5_000,
      async () => (await sandbox.current.commands.run('ps -eo stat= | grep -c "^Z" || true')).stdout,
      (count) => count === '0\n',
    );
  });
});
