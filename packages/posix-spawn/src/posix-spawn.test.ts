import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errnoName, SystemError } from './libc.ts';
import { type ChildStep, openPosixSpawn } from './spawn.ts';
import { decodeStatus, openWaitpid } from './wait.ts';

const waitpid = openWaitpid();
const end = (pid: number) => expect.poll(() => waitpid(pid)).toMatchObject({ pid });

describe('a started program', () => {
  let dir: string;
  let output: string;
  let fd: number;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'posix-spawn-'));
    output = join(dir, 'output');
    fd = openSync(output, 'w');
  });
  afterEach(async () => {
    closeSync(fd);
    await rm(dir, { recursive: true });
  });

  const run = async (session: 'own' | 'inherited', script: string, more: ChildStep[] = []) => {
    const pid = openPosixSpawn({ session })({
      file: 'sh',
      argv: ['sh', '-c', script],
      env: { PATH: process.env.PATH, KNOWN: 'yes', UNSET: undefined },
      steps: [{ step: 'dup', from: fd, to: 1 }, ...more],
    });
    await end(pid);
    return { pid, text: readFileSync(output, 'utf8') };
  };

  it('is looked up in PATH and gets its arguments, variables, directory and descriptors', async () => {
    const steps: ChildStep[] = [
      { step: 'chdir', path: dir },
      { step: 'open', fd: 0, path: '/dev/null', flags: constants.O_RDONLY },
    ];
    const { text } = await run(
      'inherited',
      'pwd; echo $KNOWN; env | grep -c UNSET; readlink /proc/self/fd/0',
      steps,
    );
    expect(text).toBe(`${dir}\nyes\n0\n/dev/null\n`);
  });

  it.each(['own', 'inherited'] as const)('is in its %s session', async (session) => {
    const { pid, text } = await run(session, 'cut -d" " -f6 /proc/$$/stat');
    if (session === 'own') expect(Number(text)).toBe(pid);
    else expect(Number(text)).not.toBe(pid);
  });

  it('handles and blocks no signal by inheritance', async () => {
    const { text } = await run('inherited', 'grep -E "Sig(Ign|Blk)" /proc/self/status');
    expect(text.match(/[0-9a-f]{16}/g)).toEqual(['0'.repeat(16), '0'.repeat(16)]);
  });
});

it('says why a program cannot be started', () => {
  const spawn = openPosixSpawn({ session: 'own' });
  const start = (file: string, steps: ChildStep[] = []) => spawn({ file, argv: [file], env: {}, steps });
  expect(() => start('no-such-program')).toThrow(/no-such-program failed: ENOENT/);
  expect(() => start('/etc/passwd')).toThrow(/EACCES/);
  expect(() => start('/bin/true', [{ step: 'chdir', path: '/no/such/directory' }])).toThrow(SystemError);
  expect(waitpid(2 ** 22)).toBe('childless');
});

it('takes wait statuses apart', () => {
  expect(decodeStatus(0)).toEqual({ exitCode: 0, signal: 0, coreDumped: false });
  expect(decodeStatus(7 << 8)).toMatchObject({ exitCode: 7, signal: 0 });
  expect(decodeStatus(9)).toMatchObject({ exitCode: -1, signal: 9, coreDumped: false });
  expect(decodeStatus(6 | 0x80)).toMatchObject({ signal: 6, coreDumped: true });
});

it('names errors', () => {
  expect(errnoName(2)).toBe('ENOENT');
  expect(new SystemError('open', 13)).toMatchObject({ code: 'EACCES', message: 'open failed: EACCES' });
});
