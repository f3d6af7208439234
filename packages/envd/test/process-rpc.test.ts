import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';
import { outputOf, startProcess } from './streams.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon();
});
afterAll(() => daemon?.stop());

const as = { user: OTHER_USER, cwd: '/tmp' };

describe('a command that cannot run', () => {
  it('fails like in a shell if there is no such program', async () => {
    const { events } = await startProcess(daemon.url, { process: { cmd: 'no-such-program' } });
    expect(outputOf(events, 'stderr')).toBe('/bin/sh: 1: exec: no-such-program: not found\n');
    expect(events.at(-1)).toEqual({
      end: { exitCode: 127, exited: true, status: 'exit status 127', error: 'exit status 127' },
    });
  });

  it('fails like in a shell if the file may not be executed', async () => {
    const path = join(daemon.directory, 'not-executable');
    await writeFile(path, 'x');
    const { events } = await startProcess(daemon.url, { process: { cmd: path } });
    expect(outputOf(events, 'stderr')).toContain('Permission denied');
    expect(events.at(-1)).toMatchObject({ end: { exitCode: 126 } });
  });

  it('is run by a shell if it is a script without an interpreter', async () => {
    const path = join(daemon.directory, 'plain-script');
    await writeFile(path, 'echo "script $1"');
    await chmod(path, 0o755);
    const { events } = await startProcess(daemon.url, { process: { cmd: path, args: ['works'] } });
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

  it('is refused if its user may not enter the directory', async () => {
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

  it('is refused if a text has a NUL', async () => {
    const { error } = await startProcess(daemon.url, { process: { cmd: '/bin/echo', args: ['a\0b'] } });
    expect(error).toMatchObject({ code: 'invalid_argument' });
  });
});

describe('the protocol', () => {
  it('sends start, data and end, and leaves out what is zero', async () => {
    const { events } = await startProcess(daemon.url, { process: { cmd: '/bin/echo', args: ['hi'] } });
    expect(events).toEqual([
      { start: { pid: expect.any(Number) } },
      { data: { stdout: Buffer.from('hi\n').toString('base64') } },
      { end: { exited: true, status: 'exit status 0' } },
    ]);
  });

  it('shows signs of life in silence', async () => {
    const { events } = await startProcess(
      daemon.url,
      { process: { cmd: '/bin/sleep', args: ['2'] } },
      { 'Keepalive-Ping-Interval': '1' },
    );
    expect(events[1]).toEqual({ keepalive: {} });
  });

  it('takes a timeout of 0 for none and refuses what is no number', async () => {
    const { events } = await startProcess(
      daemon.url,
      { process: { cmd: '/bin/true' } },
      { 'Connect-Timeout-Ms': '0' },
    );
    expect(events.at(-1)).toMatchObject({ end: { exited: true } });
    const { error } = await startProcess(
      daemon.url,
      { process: { cmd: '/bin/true' } },
      { 'Connect-Timeout-Ms': 'soon' },
    );
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

  it('finds processes by tag, the newest if it was used twice', async () => {
    await startProcess(daemon.url, { process: { cmd: '/bin/true' }, tag: 'twice' });
    const handle = startProcess(daemon.url, { process: { cmd: '/bin/sleep', args: ['30'] }, tag: 'twice' });
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
