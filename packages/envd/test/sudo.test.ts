import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';

// The real sudo is for whole sandboxes; what envd adds is tested here with `env`, which just runs its arguments.

let daemon: TestDaemon;
let socketDirectory: string;
let front: string;
beforeAll(async () => {
  socketDirectory = await mkdtemp(join(tmpdir(), 'envd-sudo-'));
  await chmod(socketDirectory, 0o755);
  const socket = join(socketDirectory, 'sudo.sock');
  daemon = await startTestDaemon({ arguments: ['--sudo-socket', socket, '--sudo-program', '/usr/bin/env'] });
  await chmod(daemon.directory, 0o755);
  front = `env ISLET_SUDO_SOCKET=${socket} ${process.execPath} ${join(daemon.directory, '.bundle/sudo.mjs')}`;
});
afterAll(async () => {
  await daemon?.stop();
  await rm(socketDirectory, { recursive: true, force: true });
});

const owner = () => daemon.init({ defaultUser: OTHER_USER });
const run = (command: string, user = OTHER_USER) =>
  daemon.sandbox.commands.run(command, { user, cwd: '/tmp' });

it('is refused to users who are nobody in particular', async () => {
  await daemon.init({ defaultUser: 'root' });
  await expect(run(`${front} id -u`)).rejects.toMatchObject({
    exitCode: 1,
    stdout: '',
    stderr: expect.stringContaining('may not run sudo'),
  });
});

it('runs as root for the owner, in the same directory and with the same variables', async () => {
  await owner();
  const { stdout } = await run(`export MINE=yes; ${front} sh -c 'id -u; id -G; pwd; echo $MINE'`);
  expect(stdout).toBe('0\n0\n/tmp\nyes\n');
});

it('gives the program the very same input and output', async () => {
  await owner();
  const file = join(socketDirectory, 'appended');
  await writeFile(file, '');
  await chmod(file, 0o666);
  const { stdout } = await run(
    `printf 'a\\nb\\n' | while read x; do ${front} echo got $x; done >> ${file}; cat ${file}; echo err | ${front} sh -c 'cat >&2'`,
  );
  expect(stdout).toBe('got a\ngot b\n');
});

it('ends as the program ended', async () => {
  await owner();
  await expect(run(`${front} sh -c 'exit 7'`)).rejects.toMatchObject({ exitCode: 7 });
  await expect(run(`exec ${front} sh -c 'kill -KILL $$'`)).rejects.toMatchObject({ error: 'signal: killed' });
  await expect(run(`${front} no-such-program`)).rejects.toMatchObject({ exitCode: 127 });
});

it('passes signals on, and its own death too', async () => {
  await owner();
  const pidOf = async (name: string) =>
    Number(await daemon.sandbox.files.read(join(socketDirectory, name)).catch(() => 0));
  for (const [name, signal] of [
    ['one', 'TERM'],
    ['two', 'KILL'],
  ]) {
    const script = `echo $$ > ${socketDirectory}/${name}; exec sleep 30`;
    const handle = await daemon.sandbox.commands.run(`exec ${front} sh -c '${script}'`, {
      user: OTHER_USER,
      cwd: '/tmp',
      background: true,
    });
    const pid = await eventually(async () => (await pidOf(name ?? '')) || undefined, 'the program');
    process.kill(handle.pid, `SIG${signal}`);
    await handle.wait().catch(() => {});
    await eventually(() => !isAlive(pid), `the end of the program after SIG${signal}`);
  }
});

it('cannot be talked into another identity', async () => {
  await daemon.init({ defaultUser: 'root' });
  const forged = [
    'import socket, struct, array, os, sys',
    's = socket.socket(socket.AF_UNIX)',
    `s.connect("${socketDirectory}/sudo.sock")`,
    'fds = array.array("i", [0, 1, 2])',
    'creds = struct.pack("iII", os.getpid(), 0, 0)',
    'rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]',
    'try:',
    '  s.sendmsg([b"x"], rights + [(socket.SOL_SOCKET, 2, creds)])',
    '  print("accepted")',
    'except PermissionError:',
    '  print("refused by the kernel")',
    's2 = socket.socket(socket.AF_UNIX)',
    `s2.connect("${socketDirectory}/sudo.sock")`,
    's2.sendmsg([b"x"], rights)',
    's2.sendall(b\'{"args":["id","-u"],"env":{},"cwd":"/"}\\n\')',
    's2.settimeout(5)',
    'print(s2.recv(1000))',
  ].join('\n');
  const script = join(socketDirectory, 'forge.py');
  await writeFile(script, forged);
  const { stdout } = await run(`python3 ${script}`);
  expect(stdout).toContain('refused by the kernel');
  expect(stdout).toContain('may not run sudo');
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it('is stood in for if there is none', async () => {
  const socket = join(socketDirectory, 'none.sock');
  const without = await startTestDaemon({
    arguments: ['--sudo-socket', socket, '--sudo-program', join(socketDirectory, 'no-sudo')],
  });
  try {
    await chmod(without.directory, 0o755);
    await without.init({ defaultUser: OTHER_USER });
    const sudo = `env ISLET_SUDO_SOCKET=${socket} ${process.execPath} ${join(without.directory, '.bundle/sudo.mjs')}`;
    const { stdout } = await without.sandbox.commands.run(
      `${sudo} sh -c 'id -u; echo $SUDO_USER $HOME'; ${sudo} -u ${OTHER_USER} id -un; ${sudo} -l | head -1`,
      { user: OTHER_USER, cwd: '/tmp' },
    );
    expect(stdout).toBe(
      `0\n${OTHER_USER} /root\n${OTHER_USER}\nUser ${OTHER_USER} may run the following commands:\n`,
    );
  } finally {
    await without.stop();
  }
});
