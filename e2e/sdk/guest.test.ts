import { describe, expect, it } from 'vitest';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { until } from '../setup/until.ts';
import { lines, rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
const run = async (command: string, opts = {}) =>
  (await sandbox.current.commands.run(command, opts)).stdout.trimEnd();

describe('the base template', () => {
  it.each([
    ['python3 --version', /^Python 3\.\d+/],
    ['python3 -m pip --version', /^pip \d+/],
    ['node --version', /^v\d+\./],
    ['npm --version', /^\d+\./],
    ['git --version', /^git version \d/],
    ['curl --version', /^curl \d/],
    ['gcc --version', /^gcc .*\d/],
    ['make --version', /^GNU Make \d/],
    ['bash --version', /^GNU bash, version 5/],
    ['sudo --version', /^Sudo version/],
  ])('has %s', async (command, pattern) => {
    expect(await run(command)).toMatch(pattern);
    expect(await run(command, { user: 'root' })).toMatch(pattern);
  });

  it('compiles and runs C, makes a Python environment, runs an npm script', async () => {
    const { files } = sandbox.current;
    await files.write([
      { path: 'c/hello.c', data: '#include <stdio.h>\nint main(void) { puts("from C"); return 0; }\n' },
      { path: 'js/package.json', data: '{"scripts":{"hello":"node -p 6*7"}}' },
    ]);
    expect(await run('gcc -Wall -o hello hello.c && ./hello', { cwd: 'c' })).toBe('from C');
    expect(await run('npm run --silent hello', { cwd: 'js' })).toBe('42');
    expect(
      await run('python3 -m venv --without-pip env && env/bin/python -c "import sys; print(sys.prefix)"'),
    ).toBe('/home/user/env');
  });

  it('is Debian, says so, and speaks UTF-8', async () => {
    expect(await run('. /etc/os-release && echo $ID')).toBe('debian');
    expect(await run(`python3 -c 'import sys; print(sys.getfilesystemencoding(), "ü🏝")'`)).toBe('utf-8 ü🏝');
  });
});

describe('the users of a sandbox', () => {
  it('are `user`, who may become root without a password, and root', async () => {
    expect(await run('getent passwd user')).toMatch(/^user:x:1000:1000:[^:]*:\/home\/user:\/bin\/bash$/);
    expect(await run('echo piped | sudo -n sh -c "whoami; cat; echo x > /etc/made && cat /etc/made"')).toBe(
      'root\npiped\nx',
    );
    expect(await run('sudo -n -u user whoami; su user -c whoami', { user: 'root' })).toBe('user\nuser');
    const failing = sandbox.current.commands.run(`sudo -n env A=5 sh -c 'exit $A'`);
    expect(await rejection(failing)).toMatchObject({ exitCode: 5 });
  });

  it('may not do without sudo what only root may', async () => {
    await expect(sandbox.current.commands.run('touch /etc/x')).rejects.toThrow();
    await expect(sandbox.current.commands.run('kill -0 1')).rejects.toThrow();
    expect(await run('touch /etc/x && rm /etc/x && echo done', { user: 'root' })).toBe('done');
  });

  it('own their home, and share /tmp', async () => {
    expect(await run('stat -c "%U %G %a" /home/user')).toBe('user user 755');
    expect(await run('stat -c %a /tmp')).toBe('1777');
    expect(await run('stat -c "%U %a" /root', { user: 'root' })).toBe('root 700');
  });
});

describe('the machine as a sandbox sees it', () => {
  it('has a hostname that resolves, and localhost', async () => {
    expect(await run('getent hosts "$(hostname)" | wc -l')).not.toBe('0');
    expect(await run('cat /etc/hostname')).toBe(await run('hostname'));
    expect(
      await run(`python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()) != "")'`),
    ).toBe('True');
    expect(await run('getent ahostsv4 localhost | head -1')).toContain('127.0.0.1');
  });

  it('names itself', async () => {
    const id = sandbox.current.sandboxId;
    const { templateId } = await sandbox.current.getInfo();
    expect(
      await run(
        'cat /run/e2b/.E2B_SANDBOX_ID; echo; cat /run/e2b/.E2B_TEMPLATE_ID; echo; cat /run/e2b/.E2B_SANDBOX',
      ),
    ).toBe(`${id}\n${templateId}\ntrue`);
    expect(await run('echo $E2B_SANDBOX_ID')).toBe(id);
  });

  it('has the clock of its host', async () => {
    const before = Date.now();
    const inside = Number(await run('date +%s%3N'));
    expect(inside).toBeGreaterThan(before - 5_000);
    expect(inside).toBeLessThan(Date.now() + 5_000);
  });

  it('has the CPUs and the memory that it was given', async () => {
    const { cpuCount, memoryMB } = await sandbox.current.getInfo();
    expect(Number(await run('nproc'))).toBe(cpuCount);
    const seen = Number(await run("awk '/^MemTotal/ {print $2}' /proc/meminfo")) / 1_024;
    expect(seen).toBeGreaterThan(memoryMB * 0.9);
    expect(seen).toBeLessThan(memoryMB * 1.1);
  });

  it('has what programs expect of /dev and /proc', async () => {
    expect(await run('head -c 3 /dev/zero | wc -c; echo x > /dev/null; head -c 9 /dev/urandom | wc -c')).toBe(
      '3\n9',
    );
    expect(await run('echo one > /dev/stdout; echo two | tee /dev/fd/1 /dev/stderr')).toBe('one\ntwo\ntwo');
    expect(await run('test -d /dev/shm -a -w /dev/shm && echo shared')).toBe('shared');
    expect(await run('cat /proc/self/comm; test -e /proc/meminfo && echo ok')).toBe('cat\nok');
  });

  it('is not the host: another kernel, no processes, no environment, no devices of it', async () => {
    expect(
      lines(await run('ps -eo args=', { user: 'root' })).filter((line) => /runsc|islet up|vitest/.test(line)),
    ).toEqual([]);
    // A virtual machine has three disks of its own.
    const disks = VIRTUAL_MACHINES ? 'vda\nvdb\nvdc' : '';
    expect(await run('ls /sys/class/block 2>/dev/null || true')).toBe(disks);
  });

  it('runs a process in the background beyond the command that started it', async () => {
    await run('nohup sh -c "sleep 0.5; echo done > /tmp/later" >/dev/null 2>&1 &');
    await until(
      'it is done',
      5_000,
      () => sandbox.current.files.exists('/tmp/later'),
      (there) => there,
    );
  });

  it('lets programs watch files, lock them, and talk through sockets and pipes', async () => {
    const source = `
import fcntl, os, socket, tempfile
with tempfile.NamedTemporaryFile() as file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
server = socket.socket(socket.AF_UNIX); server.bind('/tmp/unix.sock'); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect('/tmp/unix.sock'); client.send(b'hi')
print(server.accept()[0].recv(2).decode())
os.mkfifo('/tmp/fifo')
print(os.fork() == 0 and os._exit(0) or os.wait()[1])
`;
    await sandbox.current.files.write('/tmp/probe.py', source);
    expect(await run('python3 /tmp/probe.py')).toBe('hi\n0');
  });
});
