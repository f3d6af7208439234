import { createHash } from 'node:crypto';
import { SandboxError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
const start = (command: string) => sandbox.current.commands.run(command, { background: true, stdin: true });

describe('stdin', () => {
  it('takes text by the handle until it is closed', async () => {
    const handle = await start('cat');
    await handle.sendStdin('one\n');
    await handle.sendStdin('two\n');
    await handle.closeStdin();
    expect(await handle.wait()).toMatchObject({ exitCode: 0, stdout: 'one\ntwo\n' });
  });

  it('takes bytes by the process id', async () => {
    const { commands } = sandbox.current;
    const handle = await start('od -An -tx1 -v | tr -d " \\n"');
    await commands.sendStdin(handle.pid, new Uint8Array([0, 255, 10, 13, 128]));
    await commands.closeStdin(handle.pid);
    expect((await handle.wait()).stdout).toBe('00ff0a0d80');
  });

  it('answers a program that asks', async () => {
    const handle = await start('printf "name? "; read name; echo "hello $name"');
    await until(
      'it asks',
      5_000,
      () => handle.stdout,
      (text) => text === 'name? ',
    );
    await handle.sendStdin('Ada\n');
    expect((await handle.wait()).stdout).toBe('name? hello Ada\n');
  });

  it('takes 5 MB in one piece', async () => {
    const handle = await start('md5sum');
    const data = new Uint8Array(5_000_000).fill(97);
    await handle.sendStdin(data);
    await handle.closeStdin();
    expect((await handle.wait()).stdout).toBe(`${createHash('md5').update(data).digest('hex')}  -\n`);
  });

  it('takes an empty piece', async () => {
    const handle = await start('wc -c');
    await handle.sendStdin('');
    await handle.closeStdin();
    expect((await handle.wait()).stdout).toBe('0\n');
  });

  it('can be closed twice', async () => {
    const handle = await start('cat >/dev/null; until [ -e closed-twice ]; do sleep 0.02; done');
    await handle.closeStdin();
    await handle.closeStdin();
    await sandbox.current.files.write('closed-twice', '');
    expect((await handle.wait()).exitCode).toBe(0);
  });

  it('reaches a command by a handle that was connected later', async () => {
    const first = await start('cat');
    const second = await sandbox.current.commands.connect(first.pid);
    await second.sendStdin('to both\n');
    await second.closeStdin();
    expect((await second.wait()).stdout).toBe('to both\n');
    expect((await first.wait()).stdout).toBe('to both\n');
  });

  it('is empty if it was not asked for', async () => {
    expect((await sandbox.current.commands.run('wc -c')).stdout).toBe('0\n');
  });
});

describe('stdin is refused', () => {
  it('by a command that was started without', async () => {
    const handle = await sandbox.current.commands.run('sleep 30', { background: true });
    const error = await rejection(handle.sendStdin('x'));
    expect(error).toBeInstanceOf(SandboxError);
    expect((error as Error).message).toContain('stdin not enabled or closed');
    await handle.kill();
  });

  it('after it was closed', async () => {
    const handle = await start('cat >/dev/null; sleep 30');
    await handle.closeStdin();
    expect(String(await rejection(handle.sendStdin('x')))).toContain('stdin not enabled or closed');
    await handle.kill();
  });

  it('where the process is unknown', async () => {
    const { commands } = sandbox.current;
    const message = 'process with pid 4000000 not found';
    expect(await rejection(commands.sendStdin(4_000_000, 'x'))).toMatchObject({
      name: 'NotFoundError',
      message: expect.stringContaining(message),
    });
    expect(await rejection(commands.closeStdin(4_000_000))).toMatchObject({
      name: 'NotFoundError',
      message: expect.stringContaining(message),
    });
  });
});
