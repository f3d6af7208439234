import { AuthenticationError, CommandExitError, InvalidArgumentError, SandboxError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { lines, rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox({ envs: { FROM_CREATE: 'kept', BOTH: 'create' } });
const run: typeof sandbox.current.commands.run = (command: string, opts = {}) =>
  sandbox.current.commands.run(command, opts) as never;

describe('the result of a command', () => {
  it('holds stdout, stderr and the exit code', async () => {
    expect(await run('echo out; echo err >&2')).toEqual({
      exitCode: 0,
      stdout: 'out\n',
      stderr: 'err\n',
      error: undefined,
    });
  });

  it('is an error with the same fields if the exit code is not 0', async () => {
    const error = (await rejection(run('echo out; echo err >&2; exit 3'))) as CommandExitError;
    expect(error).toBeInstanceOf(CommandExitError);
    expect(error).toBeInstanceOf(SandboxError);
    expect(error).toMatchObject({
      name: 'CommandExitError',
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
      error: 'exit status 3',
      message: 'exit status 3',
    });
  });

  it.each([
    ['exit 255', 255, 'exit status 255'],
    ['false', 1, 'exit status 1'],
    ['bash -c "kill -9 \\$\\$"; exit $?', 137, 'exit status 137'],
    ['kill -9 $$', -1, 'signal: killed'],
    ['kill -TERM $$', -1, 'signal: terminated'],
  ])('of `%s` has exit code %i: %s', async (command, exitCode, message) => {
    expect(await rejection(run(command))).toMatchObject({ exitCode, error: message });
  });

  it('of a program that does not exist is exit code 127', async () => {
    const error = await rejection(run('no-such-program --at-all'));
    expect(error).toBeInstanceOf(CommandExitError);
    expect(error).toMatchObject({ exitCode: 127, stdout: '' });
    expect((error as CommandExitError).stderr).toContain('no-such-program: command not found');
  });

  it('of a file that may not be executed is exit code 126', async () => {
    expect(await rejection(run('touch plain && ./plain'))).toMatchObject({ exitCode: 126 });
  });
});

describe('the environment of a command', () => {
  it('has HOME, USER, LOGNAME, PATH and what the sandbox says of itself', async () => {
    const { stdout } = await run('env -0 | sort -z | tr "\\0" "\\n"');
    const env = Object.fromEntries(lines(stdout).map((line) => line.split(/=(.*)/s).slice(0, 2)));
    expect(env).toMatchObject({
      HOME: '/home/user',
      USER: 'user',
      LOGNAME: 'user',
      E2B_SANDBOX: 'true',
      E2B_SANDBOX_ID: sandbox.current.sandboxId,
      E2B_TEMPLATE_ID: (await sandbox.current.getInfo()).templateId,
    });
    for (const dir of ['/usr/local/bin', '/usr/bin', '/bin']) expect(env.PATH.split(':')).toContain(dir);
    expect(Object.keys(env).filter((name) => /KEY|TOKEN|SECRET/i.test(name))).toEqual([]);
  });

  it('has what create was given, and what the command was given in its place', async () => {
    const print = 'echo $FROM_CREATE $BOTH $MINE';
    expect((await run(print)).stdout).toBe('kept create\n');
    expect((await run(print, { envs: { BOTH: 'command', MINE: 'own' } })).stdout).toBe('kept command own\n');
    expect((await run(print)).stdout).toBe('kept create\n');
  });

  it('takes values with spaces, quotes, newlines, = and any letter', async () => {
    const value = `a b "c" 'd' $HOME \`id\` = \n\t üñí 🏝`;
    expect((await run('printf %s "$VALUE"', { envs: { VALUE: value } })).stdout).toBe(value);
  });

  it('lets a command replace HOME', async () => {
    expect((await run('echo ~', { envs: { HOME: '/tmp' } })).stdout).toBe('/tmp\n');
  });
});

describe('the directory of a command', () => {
  it.each([
    [undefined, '/home/user'],
    ['/var/log', '/var/log'],
    ['~', '/home/user'],
    ['~/below', '/home/user/below'],
    ['below', '/home/user/below'],
    ['./below/../below', '/home/user/below'],
  ])('%s is %s', async (cwd, expected) => {
    await sandbox.current.files.makeDir('/home/user/below');
    expect((await run('pwd -P', cwd === undefined ? {} : { cwd })).stdout).toBe(`${expected}\n`);
  });

  it('must exist', async () => {
    const error = await rejection(run('pwd', { cwd: '/no/such/place' }));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toContain("cwd '/no/such/place' does not exist");
  });

  it('must be a directory', async () => {
    expect(await rejection(run('pwd', { cwd: '/etc/passwd' }))).toBeInstanceOf(InvalidArgumentError);
  });

  it('must be open to the user', async () => {
    expect(await rejection(run('pwd', { cwd: '/root' }))).toBeInstanceOf(InvalidArgumentError);
    expect((await run('pwd', { cwd: '/root', user: 'root' })).stdout).toBe('/root\n');
  });

  it('may have spaces and letters of all kinds', async () => {
    const cwd = '/home/user/a b/çölümn 🏝';
    await sandbox.current.files.makeDir(cwd);
    expect((await run('pwd', { cwd })).stdout).toBe(`${cwd}\n`);
  });
});

describe('the user of a command', () => {
  it('is `user` unless another is asked for', async () => {
    expect((await run('id -un; id -u; id -g')).stdout).toBe('user\n1000\n1000\n');
    expect((await run('id -un', { user: 'user' })).stdout).toBe('user\n');
  });

  it('may be root', async () => {
    const { stdout } = await run('id -u; id -g; echo $HOME $USER $LOGNAME; pwd', { user: 'root' });
    // The template's default directory, whoever runs the command.
    expect(stdout).toBe('0\n0\n/root root root\n/home/user\n');
  });

  it('may be one that was made in the sandbox', async () => {
    await run('useradd --create-home --shell /bin/bash ada && usermod -aG games ada', { user: 'root' });
    const { stdout } = await run('id -un; id -Gn; pwd; touch mine; stat -c %U mine', {
      user: 'ada',
      cwd: '~',
    });
    expect(lines(stdout)).toEqual(['ada', 'ada games', '/home/ada', 'ada']);
  });

  it('must exist', async () => {
    const error = await rejection(run('id', { user: 'nobody-at-all' }));
    expect(error).toBeInstanceOf(AuthenticationError);
    expect((error as Error).message).toContain("invalid username: 'nobody-at-all'");
  });

  it('may not read what is root’s', async () => {
    expect(await rejection(run('cat /etc/shadow'))).toMatchObject({ exitCode: 1, stdout: '' });
    expect((await run('wc -l < /etc/shadow', { user: 'root' })).exitCode).toBe(0);
  });

  it('becomes root with sudo, without a password', async () => {
    expect((await run('sudo -n id -u')).stdout).toBe('0\n');
    expect((await run('sudo -n -u ada id -un')).stdout).toBe('ada\n');
  });
});

describe('the shell of a command', () => {
  it('is a login shell that reads the profile', async () => {
    await sandbox.current.files.write('/home/user/.bash_profile', 'export FROM_PROFILE=read\n');
    expect((await run('shopt -q login_shell && echo $FROM_PROFILE')).stdout).toBe('read\n');
    await sandbox.current.files.remove('/home/user/.bash_profile');
  });

  it('has pipes, redirections, globs, here documents and arithmetic', async () => {
    const { stdout } = await run(`set -e
      mkdir -p shell && cd shell && touch b a
      ls * | tr '\\n' ' ' > ../listed && cat ../listed <<EOF -
$((6 * 7))
EOF`);
    expect(stdout).toBe('a b 42\n');
  });

  it('takes a command of 100 kB', async () => {
    const text = 'x'.repeat(100_000);
    expect((await run(`printf %s ${text} | wc -c`)).stdout.trim()).toBe('100000');
  });
});

describe('many commands at once', () => {
  it('all run, and none gets another’s output', async () => {
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, index) => run(`sleep 0.1; echo ${index}; echo e${index} >&2`)),
    );
    expect(results.map(({ stdout }) => stdout)).toEqual(results.map((_, index) => `${index}\n`));
    expect(results.map(({ stderr }) => stderr)).toEqual(results.map((_, index) => `e${index}\n`));
  });
});
