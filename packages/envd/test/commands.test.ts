import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandExitError } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon();
});
afterAll(() => daemon?.stop());

/** The three, and what the test runner itself may have handed down without close-on-exec. */
const inherited = new Set(['0', '1', '2', ...readdirSync('/proc/self/fd').filter((fd) => Number(fd) > 200)]);

const as = { user: OTHER_USER, cwd: '/tmp' };

describe('a command', () => {
  it('gives its output and exit code', async () => {
    const result = await daemon.sandbox.commands.run('echo out; echo err >&2', as);
    expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n', exitCode: 0 });
  });

  it('runs with the ids and groups of its user, in its home, with nothing inherited but PATH', async () => {
    const { stdout } = await daemon.sandbox.commands.run('id -u; id -g; id -G; pwd; env | sort', {
      user: 'root',
      envs: { EXTRA: 'x y', HOME: '/tmp' },
    });
    const [uid, gid, groups, cwd, ...env] = stdout.trimEnd().split('\n');
    expect([uid, gid, groups, cwd]).toEqual(['0', '0', '0', '/root']);
    expect(env).toContain('EXTRA=x y');
    expect(env).toContain('HOME=/tmp');
    expect(env).toContain('USER=root');
    expect(env).toContain('LOGNAME=root');
    expect(env).toContain('E2B_SANDBOX=true');
    expect(env.some((line) => line.startsWith('NODE_CHANNEL_FD'))).toBe(false);
  });

  it('cannot get root back after its user was switched', async () => {
    const probe = 'import os\nos.setresuid(0,0,0)';
    const { stdout } = await daemon.sandbox.commands.run(
      `grep -E '^(Uid|Gid|CapEff|CapPrm|Groups)' /proc/self/status; python3 -c '${probe}' 2>&1 | tail -1`,
      as,
    );
    const status = Object.fromEntries(stdout.split('\n').map((line) => line.split(':\t')));
    expect(new Set(status.Uid?.split('\t'))).toHaveLength(1);
    expect(new Set(status.Gid?.split('\t'))).toHaveLength(1);
    expect(status.Uid?.split('\t')[0]).not.toBe('0');
    expect(Number.parseInt(status.CapEff ?? 'f', 16)).toBe(0);
    expect(Number.parseInt(status.CapPrm ?? 'f', 16)).toBe(0);
    expect(stdout).toContain('PermissionError');
  });

  it('leaves the daemon itself root', async () => {
    await daemon.sandbox.commands.run('true', as);
    const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\t0\t0\t0\t0$/m);
    expect(status).toMatch(/^Gid:\t0\t0\t0\t0$/m);
    for (const line of readFileSync(`/proc/${daemon.pid}/status`, 'utf8').split('\n')) {
      if (line.startsWith('CapEff')) expect(Number.parseInt(line.split(':\t')[1] ?? '0', 16)).not.toBe(0);
    }
  });

  it('has no descriptors of the daemon but its three', async () => {
    const handle = await daemon.sandbox.commands.run('exec sleep 30', { ...as, background: true });
    await eventually(() => readlinkSync(`/proc/${handle.pid}/exe`).endsWith('sleep'), 'the program');
    expect(readdirSync(`/proc/${handle.pid}/fd`).filter((fd) => !inherited.has(fd))).toEqual([]);
    await handle.kill();
  });

  it('can open its output again by name', async () => {
    const result = await daemon.sandbox.commands.run('echo a > /dev/stdout; echo b > /dev/stderr', {
      user: 'root',
    });
    expect(result).toMatchObject({ stdout: 'a\n', stderr: 'b\n' });
  });

  it.each([
    ['exit 3', { exitCode: 3, error: 'exit status 3' }],
    ['kill -KILL $$', { exitCode: -1, error: 'signal: killed' }],
    ['kill -TERM $$', { exitCode: -1, error: 'signal: terminated' }],
  ])('that ends by `%s` fails with %o', async (command, expected) => {
    const failure = await daemon.sandbox.commands.run(command, as).catch((error) => error);
    expect(failure).toBeInstanceOf(CommandExitError);
    expect(failure).toMatchObject(expected);
  });

  it('keeps big output whole', async () => {
    const { stdout } = await daemon.sandbox.commands.run('head -c 3000000 /dev/zero | tr "\\0" x', as);
    expect(stdout).toHaveLength(3_000_000);
  });

  it('ends only when a background child has closed the output', async () => {
    const { stdout } = await daemon.sandbox.commands.run('(sleep 0.4; echo late) & echo early', as);
    expect(stdout).toBe('early\nlate\n');
  });

  it('that was killed is over although a background child holds the output', async () => {
    const handle = await daemon.sandbox.commands.run('sleep 30 & echo $!; wait', { ...as, background: true });
    const child = await eventually(() => Number(handle.stdout) || undefined, 'the child');
    await handle.kill();
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: -1, error: 'signal: killed' });
    process.kill(child, 'SIGKILL');
  });

  it('is killed when its time is over', async () => {
    const slow = daemon.sandbox.commands.run('echo $$ > pid; exec sleep 30', {
      user: 'root',
      cwd: daemon.directory,
      timeoutMs: 400,
    });
    await expect(slow).rejects.toThrow(/deadline_exceeded/);
    const pid = Number(readFileSync(join(daemon.directory, 'pid'), 'utf8'));
    await eventually(() => !isAlive(pid), 'the death of the command');
  });

  it('is killed at its deadline even after its client has gone', async () => {
    const abort = new AbortController();
    const response = await fetch(`${daemon.url}/process.Process/Start`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/connect+json', 'Connect-Timeout-Ms': '500' },
      body: envelope({ process: { cmd: '/bin/sleep', args: ['30'] }, tag: 'doomed' }),
      signal: abort.signal,
    });
    await response.body?.getReader().read();
    abort.abort();
    const [info] = (await daemon.sandbox.commands.list()).filter((p) => p.tag === 'doomed');
    expect(info).toBeDefined();
    await eventually(() => !isAlive(info?.pid ?? 0), 'the death of the command');
  });

  it('goes on when its client disconnects, and can be joined again', async () => {
    const handle = await daemon.sandbox.commands.run('read x; echo got $x', {
      ...as,
      background: true,
      stdin: true,
    });
    await handle.disconnect();
    const again = await daemon.sandbox.commands.connect(handle.pid);
    await daemon.sandbox.commands.sendStdin(handle.pid, 'hello\n');
    expect(await again.wait()).toMatchObject({ stdout: 'got hello\n', exitCode: 0 });
  });

  it('tells how it ended to those who join a moment later', async () => {
    const handle = await daemon.sandbox.commands.run('exit 5', { ...as, background: true });
    await handle.wait().catch(() => {});
    const again = await daemon.sandbox.commands.connect(handle.pid);
    await expect(again.wait()).rejects.toMatchObject({ exitCode: 5 });
  });

  it('reads its input to the end', async () => {
    const handle = await daemon.sandbox.commands.run('cat', { ...as, background: true, stdin: true });
    const big = 'x'.repeat(500_000);
    await handle.sendStdin(big);
    await handle.closeStdin();
    expect(await handle.wait()).toMatchObject({ stdout: big, exitCode: 0 });
  });

  it('may have its input closed twice, and takes none afterwards', async () => {
    const handle = await daemon.sandbox.commands.run('sleep 30', { ...as, background: true, stdin: true });
    await handle.closeStdin();
    await handle.closeStdin();
    await expect(handle.sendStdin('x')).rejects.toThrow(/stdin not enabled or closed/);
    await handle.kill();
  });

  it('reads nothing where no input was asked for', async () => {
    expect(await daemon.sandbox.commands.run('cat; echo end', as)).toMatchObject({ stdout: 'end\n' });
    const handle = await daemon.sandbox.commands.run('sleep 5', { ...as, background: true });
    await expect(handle.sendStdin('x')).rejects.toThrow(/stdin not enabled or closed/);
    await handle.kill();
  });

  it('is listed while it lives and not afterwards', async () => {
    const handle = await daemon.sandbox.commands.run('sleep 30', {
      ...as,
      background: true,
      envs: { A: 'b' },
    });
    const listed = (await daemon.sandbox.commands.list()).find((process) => process.pid === handle.pid);
    expect(listed).toMatchObject({
      cmd: '/bin/bash',
      args: ['-l', '-c', 'sleep 30'],
      cwd: '/tmp',
      envs: { A: 'b' },
    });
    expect(await daemon.sandbox.commands.kill(handle.pid)).toBe(true);
    await handle.wait().catch(() => {});
    expect((await daemon.sandbox.commands.list()).some((process) => process.pid === handle.pid)).toBe(false);
    expect(await daemon.sandbox.commands.kill(handle.pid)).toBe(false);
  });
});

describe('a command that cannot run', () => {
  it('fails like in a shell where there is no such program', async () => {
    const { events } = await start({ process: { cmd: 'no-such-program' } });
    expect(outputOf(events, 'stderr')).toBe('/bin/sh: 1: exec: no-such-program: not found\n');
    expect(events.at(-1)).toEqual({
      end: { exitCode: 127, exited: true, status: 'exit status 127', error: 'exit status 127' },
    });
  });

  it('fails like in a shell where the file may not be executed', async () => {
    const path = join(daemon.directory, 'not-executable');
    await writeFile(path, 'x');
    const { events } = await start({ process: { cmd: path } });
    expect(outputOf(events, 'stderr')).toContain('Permission denied');
    expect(events.at(-1)).toMatchObject({ end: { exitCode: 126 } });
  });

  it('is run by a shell where it is a script without an interpreter', async () => {
    const path = join(daemon.directory, 'plain-script');
    await writeFile(path, 'echo "script $1"');
    await chmod(path, 0o755);
    const { events } = await start({ process: { cmd: path, args: ['works'] } });
    expect(outputOf(events, 'stdout')).toBe('script works\n');
  });

  it.each([
    ['an unknown user', { user: 'nobody-knows' }, /unauthenticated.*invalid username: 'nobody-knows'/],
    [
      'a directory that does not exist',
      { cwd: '/no/such' },
      /invalid_argument.*cwd '\/no\/such' does not exist/,
    ],
    ['a directory of another user', { cwd: '~other' }, /cannot expand user-specific home dir/],
  ])('is refused for %s', async (_case, options, message) => {
    await expect(daemon.sandbox.commands.run('true', options)).rejects.toThrow(message);
  });

  it('is refused where its user may not enter the directory', async () => {
    const locked = join(daemon.directory, 'locked');
    await mkdir(locked, { mode: 0o700 });
    await chmod(daemon.directory, 0o755);
    await expect(daemon.sandbox.commands.run('true', { user: OTHER_USER, cwd: locked })).rejects.toThrow(
      /invalid_argument/,
    );
    expect(await daemon.sandbox.commands.run('pwd', { user: 'root', cwd: locked })).toMatchObject({
      stdout: `${locked}\n`,
    });
  });

  it('is refused where a text has a NUL', async () => {
    const { error } = await start({ process: { cmd: '/bin/echo', args: ['a\0b'] } });
    expect(error).toMatchObject({ code: 'invalid_argument' });
  });
});

describe('the protocol', () => {
  it('sends start, data and end, and leaves out what is zero', async () => {
    const { events } = await start({ process: { cmd: '/bin/echo', args: ['hi'] } });
    expect(events).toEqual([
      { start: { pid: expect.any(Number) } },
      { data: { stdout: Buffer.from('hi\n').toString('base64') } },
      { end: { exited: true, status: 'exit status 0' } },
    ]);
  });

  it('shows signs of life in silence', async () => {
    const { events } = await start(
      { process: { cmd: '/bin/sleep', args: ['1.3'] } },
      { 'Keepalive-Ping-Interval': '1' },
    );
    expect(events[1]).toEqual({ keepalive: {} });
  });

  it('takes a timeout of 0 for none and refuses what is no number', async () => {
    const { events } = await start({ process: { cmd: '/bin/true' } }, { 'Connect-Timeout-Ms': '0' });
    expect(events.at(-1)).toMatchObject({ end: { exited: true } });
    const { error } = await start({ process: { cmd: '/bin/true' } }, { 'Connect-Timeout-Ms': 'soon' });
    expect(error).toMatchObject({ code: 'invalid_argument' });
  });

  it.each([
    [
      'process.Process/SendSignal',
      { process: { pid: 4_000_000 }, signal: 'SIGNAL_SIGTERM' },
      404,
      'not_found',
      'process with pid 4000000 not found',
    ],
    [
      'process.Process/SendInput',
      { process: { tag: 'none' } },
      404,
      'not_found',
      'process with tag none not found',
    ],
    ['process.Process/CloseStdin', { process: {} }, 501, 'unimplemented', ''],
    ['process.Process/Update', { process: { pid: 4_000_000 } }, 404, 'not_found', ''],
  ])('%s of %o answers %i', async (method, body, status, code, message) => {
    const response = await daemon.rpc(method, body);
    expect(response.status).toBe(status);
    expect(response.body).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('finds processes by tag, the newest where it was used twice', async () => {
    await start({ process: { cmd: '/bin/true' }, tag: 'twice' });
    const handle = start({ process: { cmd: '/bin/sleep', args: ['30'] }, tag: 'twice' });
    await eventually(
      async () =>
        (await daemon.rpc('process.Process/List', {})).body.processes?.some(
          (process) => process.tag === 'twice',
        ),
      'the process',
    );
    const killed = await daemon.rpc('process.Process/SendSignal', {
      process: { tag: 'twice' },
      signal: 'SIGNAL_SIGKILL',
    });
    expect(killed.status).toBe(200);
    expect((await handle).events.at(-1)).toMatchObject({ end: { exitCode: -1, status: 'signal: killed' } });
  });

  it('refuses input and signals that do not fit the process', async () => {
    const handle = await daemon.sandbox.commands.run('sleep 30', { ...as, background: true, stdin: true });
    const target = { process: { pid: handle.pid } };
    const codeOf = async (method: string, body: object) =>
      (await daemon.rpc(`process.Process/${method}`, { ...target, ...body })).body.code;
    expect(await codeOf('SendInput', { input: { pty: 'eA==' } })).toBe('internal');
    expect(await codeOf('Update', { pty: { size: { cols: 1, rows: 1 } } })).toBe('internal');
    expect(await codeOf('SendSignal', { signal: 2 })).toBe('unimplemented');
    await handle.kill();
  });
});

type Event = Record<string, unknown>;

/** Runs Start over plain HTTP, message by message. */
async function start(
  request: object,
  headers: Record<string, string> = {},
): Promise<{ events: Event[]; error: unknown }> {
  const response = await fetch(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/connect+json', ...headers },
    body: envelope(request),
  });
  expect(response.status).toBe(200);
  const bytes = Buffer.from(await response.arrayBuffer());
  const events: Event[] = [];
  let error: unknown;
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 1);
    const message = JSON.parse(bytes.toString('utf8', at + 5, at + 5 + length));
    if (bytes[at] === 2) error = message.error;
    else events.push(message.event);
    at += 5 + length;
  }
  return { events, error };
}

function envelope(message: object): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(JSON.stringify(message));
  const bytes = new Uint8Array(5 + text.length);
  new DataView(bytes.buffer).setUint32(1, text.length);
  bytes.set(text, 5);
  return bytes;
}

function outputOf(events: Event[], kind: 'stdout' | 'stderr'): string {
  const chunks = events.flatMap((event) => (event.data as Record<string, string> | undefined)?.[kind] ?? []);
  return Buffer.concat(chunks.map((chunk) => Buffer.from(chunk, 'base64'))).toString();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
