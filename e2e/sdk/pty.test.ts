import { AuthenticationError, InvalidArgumentError, NotFoundError, SandboxError, TimeoutError } from 'e2b';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();

type CreateOptions = Parameters<typeof sandbox.current.pty.create>[0];
const encoder = new TextEncoder();
const open: Terminal[] = [];
afterEach(() => Promise.all(open.splice(0).map((terminal) => sandbox.current.pty.kill(terminal.pid))));

/** A terminal and all that it showed. */
class Terminal {
  text = '';
  pid = 0;
  handle!: Awaited<ReturnType<typeof sandbox.current.pty.create>>;
  readonly #decoder = new TextDecoder();

  static async open(opts: Partial<CreateOptions> = {}): Promise<Terminal> {
    const terminal = new Terminal();
    terminal.handle = await sandbox.current.pty.create({
      cols: 80,
      rows: 24,
      onData: terminal.show,
      ...opts,
    });
    terminal.pid = terminal.handle.pid;
    open.push(terminal);
    return terminal;
  }

  readonly show = (data: Uint8Array): void => {
    this.text += this.#decoder.decode(data, { stream: true });
  };

  type(text: string): Promise<void> {
    return sandbox.current.pty.sendInput(this.pid, encoder.encode(text));
  }

  /** Waits until what was shown matches. */
  async shows(pattern: RegExp): Promise<RegExpMatchArray> {
    const found = await until(
      `the terminal shows ${pattern}`,
      10_000,
      () => this.text.match(pattern) ?? this.text,
      (match) => typeof match !== 'string',
    );
    return found as RegExpMatchArray;
  }

  /** Types a command and waits for its output, which it gives without the line's end. */
  async ask(command: string): Promise<string> {
    this.text = '';
    // The marks are put together by the shell, so that the echo of what was typed does not hold them.
    await this.type(`printf '%s<%s>%s' A "$(${command})" Z\n`);
    return (await this.shows(/A<([\s\S]*?)>Z/))[1]?.replaceAll('\r', '') ?? '';
  }
}

describe('a terminal', () => {
  it('is one: a device, of the size asked for, in colour, with UTF-8', async () => {
    const terminal = await Terminal.open({ cols: 101, rows: 33 });
    expect(await terminal.ask('tty')).toMatch(/^\/dev\/pts\/\d+$/);
    expect(await terminal.ask('stty size')).toBe('33 101');
    expect(await terminal.ask('echo $TERM $LANG $LC_ALL')).toBe('xterm-256color C.UTF-8 C.UTF-8');
    expect(await terminal.ask('[ -t 0 ] && [ -t 2 ] && echo yes')).toBe('yes');
  });

  it('echoes what is typed, and shows what comes of it', async () => {
    const terminal = await Terminal.open();
    await terminal.type('echo $((6 * 7)) done\n');
    await terminal.shows(/echo \$\(\(6 \* 7\)\) done\r\n/);
    await terminal.shows(/\r42 done\r\n/);
  });

  it('is a login shell of the user, at home', async () => {
    const terminal = await Terminal.open();
    expect(await terminal.ask('id -un; pwd; echo $HOME $USER; shopt -q login_shell && echo login')).toBe(
      'user\n/home/user\n/home/user user\nlogin',
    );
  });

  it('takes user, directory and environment', async () => {
    const terminal = await Terminal.open({
      user: 'root',
      cwd: '/var/log',
      envs: { MINE: 'a b', TERM: 'dumb' },
    });
    expect(await terminal.ask('id -un; pwd; echo "$MINE $TERM"')).toBe('root\n/var/log\na b dumb');
  });

  it('is listed among the commands', async () => {
    const terminal = await Terminal.open();
    const listed = (await sandbox.current.commands.list()).find(({ pid }) => pid === terminal.pid);
    expect(listed).toMatchObject({ cmd: '/bin/bash', args: ['-i', '-l'], envs: { TERM: 'xterm-256color' } });
  });

  it('takes letters of all kinds, and gives them back whole', async () => {
    const terminal = await Terminal.open();
    expect(await terminal.ask('echo ü漢🏝')).toBe('ü漢🏝');
  });

  it('shows 1 MB', async () => {
    const terminal = await Terminal.open();
    await terminal.type("head -c 1000000 /dev/zero | tr '\\0' z; echo; echo e''nd\n");
    await terminal.shows(/end\r\n/);
    expect(terminal.text.match(/z{1000}/g)?.length).toBe(1_000);
  });

  it('runs programs that draw', async () => {
    const terminal = await Terminal.open();
    await terminal.type('printf "a\\nb\\nc\\n" | less\n');
    await terminal.shows(/\(END\)/);
    await terminal.type('q');
    expect(await terminal.ask('echo back')).toBe('back');
  });
});

describe('resize', () => {
  it('changes the size, and tells the program', async () => {
    const terminal = await Terminal.open();
    expect(await terminal.ask('stty size')).toBe('24 80');
    await terminal.type("trap 'echo win''ch $(stty size)' WINCH\n");
    await terminal.ask('echo set');
    await sandbox.current.pty.resize(terminal.pid, { cols: 132, rows: 50 });
    await terminal.type('\n');
    await terminal.shows(/winch 50 132/);
    expect(await terminal.ask('stty size')).toBe('50 132');
  });

  it('is refused for what is no terminal', async () => {
    const handle = await sandbox.current.commands.run('sleep 30', { background: true });
    const error = await rejection(sandbox.current.pty.resize(handle.pid, { cols: 80, rows: 24 }));
    expect(error).toBeInstanceOf(SandboxError);
    expect((error as Error).message).toContain('tty not assigned to process');
    await handle.kill();
  });
});

describe('job control', () => {
  it('interrupts the foreground with Ctrl-C, and not the shell', async () => {
    const terminal = await Terminal.open();
    await terminal.type('sleep 300\n');
    await until(
      'it runs',
      5_000,
      async () => (await sandbox.current.commands.run('pgrep -x sleep | wc -l')).stdout,
      (count) => count === '1\n',
    );
    await terminal.type('\u0003');
    expect(await terminal.ask('echo alive')).toBe('alive');
    expect((await sandbox.current.commands.run('pgrep -x sleep || true')).stdout).toBe('');
  });

  it('stops with Ctrl-Z, and goes on in the background and the foreground', async () => {
    const terminal = await Terminal.open();
    await terminal.type('sleep 301\n');
    await until(
      'it runs',
      5_000,
      async () => (await sandbox.current.commands.run('pgrep -x sleep | wc -l')).stdout,
      (count) => count === '1\n',
    );
    await terminal.type('\u001a');
    await terminal.shows(/Stopped/);
    await terminal.type('bg\n');
    await terminal.shows(/sleep 301 &/);
    await terminal.type('jobs\n');
    await terminal.shows(/Running\s+sleep 301/);
    await terminal.type('fg\n');
    // The shell tells which one it is before it waits for it: until then Ctrl-C would be the shell's own.
    await terminal.shows(/\rsleep 301\r\n/);
    await terminal.type('\u0003');
    expect(await terminal.ask('jobs | wc -l')).toBe('0');
  });

  it('ends the shell with Ctrl-D', async () => {
    const terminal = await Terminal.open();
    await terminal.ask('echo ready');
    await terminal.type('\u0004');
    expect(await terminal.handle.wait()).toMatchObject({ exitCode: 0 });
  });
});

describe('the end of a terminal', () => {
  it('tells the exit code', async () => {
    const terminal = await Terminal.open();
    await terminal.type('exit 7\n');
    expect(await rejection(terminal.handle.wait())).toMatchObject({ exitCode: 7, error: 'exit status 7' });
  });

  it('comes with kill, once', async () => {
    const { pty } = sandbox.current;
    const terminal = await Terminal.open();
    expect(await pty.kill(terminal.pid)).toBe(true);
    expect(await rejection(terminal.handle.wait())).toMatchObject({ exitCode: -1, error: 'signal: killed' });
    expect(
      await until(
        'gone',
        5_000,
        () => pty.kill(terminal.pid),
        (killed) => !killed,
      ),
    ).toBe(false);
  });

  it('comes with kill of the handle', async () => {
    const terminal = await Terminal.open();
    expect(await terminal.handle.kill()).toBe(true);
    expect(await rejection(terminal.handle.wait())).toMatchObject({ error: 'signal: killed' });
  });

  it('comes with its timeout', async () => {
    // Its time may be over before it is told that it is open.
    const opened = Terminal.open({ timeoutMs: 500 });
    expect(await rejection(opened.then(({ handle }) => handle.wait()))).toBeInstanceOf(TimeoutError);
  });

  it('takes the programs in it along', async () => {
    const terminal = await Terminal.open();
    await terminal.type('sleep 302\n');
    const running = async () =>
      (await sandbox.current.commands.run('pgrep -fc "[s]leep 302" || true')).stdout;
    await until('it runs', 5_000, running, (count) => count === '1\n');
    await sandbox.current.pty.kill(terminal.pid);
    await until('it is gone', 5_000, running, (count) => count === '0\n');
  });
});

describe('connect', () => {
  it('goes on with a terminal that was left, in the same shell', async () => {
    const { pty } = sandbox.current;
    const terminal = await Terminal.open();
    await terminal.ask('KEPT=here; echo set');
    await terminal.type('KEPT=here\n');
    await terminal.handle.disconnect();
    const again = new Terminal();
    again.handle = await pty.connect(terminal.pid, { onData: again.show });
    again.pid = again.handle.pid;
    expect(again.pid).toBe(terminal.pid);
    expect(await again.ask('echo $KEPT')).toBe('here');
  });

  it('lets two watch one terminal', async () => {
    const terminal = await Terminal.open();
    const second = new Terminal();
    second.handle = await sandbox.current.pty.connect(terminal.pid, { onData: second.show });
    await terminal.type("echo b''oth\n");
    await Promise.all([terminal.shows(/\rboth\r\n/), second.shows(/\rboth\r\n/)]);
    await second.handle.disconnect();
  });
});

describe('a terminal is refused', () => {
  const size = { cols: 80, rows: 24, onData: () => {} };

  it('in a directory that does not exist', async () => {
    const error = await rejection(sandbox.current.pty.create({ ...size, cwd: '/no/such/place' }));
    expect(error).toBeInstanceOf(InvalidArgumentError);
  });

  it('for a user who does not exist', async () => {
    const error = await rejection(sandbox.current.pty.create({ ...size, user: 'nobody-at-all' }));
    expect(error).toBeInstanceOf(AuthenticationError);
  });

  it('where the process is unknown', async () => {
    const { pty } = sandbox.current;
    expect(await rejection(pty.connect(4_000_000))).toBeInstanceOf(NotFoundError);
    expect(await rejection(pty.sendInput(4_000_000, encoder.encode('x')))).toBeInstanceOf(NotFoundError);
    expect(await rejection(pty.resize(4_000_000, { cols: 1, rows: 1 }))).toBeInstanceOf(NotFoundError);
    expect(await pty.kill(4_000_000)).toBe(false);
  });

  it('the stdin of a command, and a command the input of a terminal', async () => {
    const terminal = await Terminal.open();
    expect(String(await rejection(sandbox.current.commands.sendStdin(terminal.pid, 'x')))).toContain('tty');
    await expect(sandbox.current.commands.closeStdin(terminal.pid)).rejects.toThrow(
      /cannot close stdin for PTY/,
    );
    const handle = await sandbox.current.commands.run('cat', { background: true, stdin: true });
    await expect(sandbox.current.pty.sendInput(handle.pid, encoder.encode('x'))).rejects.toBeInstanceOf(
      SandboxError,
    );
    await handle.kill();
  });
});
