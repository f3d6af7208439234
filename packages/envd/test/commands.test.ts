import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { CommandExitError } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';
import { envelope, isAlive, startProcess } from './streams.ts';

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
    // It opens and closes its libraries while it starts; what it was given stays open.
    const more = () => readdirSync(`/proc/${handle.pid}/fd`).filter((fd) => !inherited.has(fd));
    await expect.poll(more).toEqual([]);
    await handle.kill();
  });

  it.each(['root', OTHER_USER])('can open its output again by name, as %s', async (user) => {
    const command = 'echo a > /dev/stdout; echo b > /dev/stderr';
    const result = await daemon.sandbox.commands.run(command, { user, cwd: '/tmp' });
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
    const { events, error } = await startProcess(
      daemon.url,
      { process: { cmd: '/bin/sleep', args: ['30'] } },
      { 'Connect-Timeout-Ms': '1000' },
    );
    expect(error).toMatchObject({ code: 'deadline_exceeded' });
    const pid = Number((events[0]?.start as { pid?: number } | undefined)?.pid);
    expect(pid).toBeGreaterThan(0);
    await eventually(() => !isAlive(pid), 'the death of the command');
    await expect(daemon.sandbox.commands.run('sleep 30', { ...as, timeoutMs: 400 })).rejects.toThrow(
      /deadline_exceeded/,
    );
  });

  it('is killed at its deadline even after its client has gone', async () => {
    const abort = new AbortController();
    const response = await fetch(`${daemon.url}/process.Process/Start`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/connect+json', 'Connect-Timeout-Ms': '4000' },
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

  it('reads nothing if no input was asked for', async () => {
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
