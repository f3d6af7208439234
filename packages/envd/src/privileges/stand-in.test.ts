import { describe, expect, it } from 'vitest';
import type { Account } from '../accounts/account.ts';
import { planSudo } from './stand-in.ts';

const account = (name: string, uid: number): Account => ({
  name,
  uid,
  gid: uid,
  home: uid === 0 ? '/root' : `/home/${name}`,
  groups: [uid],
});
const accounts = [account('root', 0), account('user', 1000), account('other', 1001)];
const context = {
  caller: account('user', 1000),
  findAccount: (name: string) => accounts.find((known) => known.name === name),
  userName: (uid: number) => accounts.find((known) => known.uid === uid)?.name ?? String(uid),
};
const CALLERS = {
  PATH: '/mine',
  HOME: '/home/user',
  MINE: 'yes',
  TERM: 'xterm',
  LC_ALL: 'C',
  LD_PRELOAD: 'x',
};
const plan = (...args: string[]) => planSudo({ args, env: CALLERS, cwd: '/work' }, context);
const run = (...args: string[]) => {
  const planned = plan(...args);
  if (!('run' in planned)) throw new Error(planned.answer.message);
  return planned.run;
};
const refusal = (...args: string[]) => {
  const planned = plan(...args);
  return 'answer' in planned ? planned.answer : undefined;
};

describe('sudo if the template has none', () => {
  it('runs a command as root, with its own options, where the caller is', () => {
    const { command, args, cwd, account: target } = run('-n', 'ls', '-u', '--help', '--');
    expect({ command, args, cwd, uid: target.uid }).toEqual({
      command: 'ls',
      args: ['-u', '--help', '--'],
      cwd: '/work',
      uid: 0,
    });
    expect(run('--', '-odd').command).toBe('-odd');
  });

  it('gives the environment that sudo gives', () => {
    expect(run('env', 'x').env).toEqual({
      HOME: '/root',
      TERM: 'xterm',
      LC_ALL: 'C',
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      USER: 'root',
      LOGNAME: 'root',
      SHELL: '/bin/bash',
      SUDO_USER: 'user',
      SUDO_UID: '1000',
      SUDO_GID: '1000',
      SUDO_COMMAND: 'env x',
    });
    expect(run('A=1', 'B=two words', 'env').env).toMatchObject({ A: '1', B: 'two words' });
    expect(run('-E', 'env').env).toMatchObject({ MINE: 'yes', HOME: '/home/user', USER: 'root' });
    expect(run('--preserve-env=MINE,NOT', 'env').env).toMatchObject({ MINE: 'yes', HOME: '/root' });
  });

  it.each([
    [['-u', 'other', 'id'], 1001],
    [['-nuother', 'id'], 1001],
    [['--user=other', 'id'], 1001],
    [['-u', '#1001', 'id'], 1001],
    [['-u', '#777', 'id'], 777],
  ])('runs as whom %j names', (args, uid) => {
    expect(run(...args)).toMatchObject({ command: 'id', args: [], account: { uid } });
  });

  it('starts shells', () => {
    expect(run('-s')).toMatchObject({ command: '/bin/bash', args: [], cwd: '/work' });
    expect(run('-i', '-u', 'other')).toMatchObject({ args: ['-l'], cwd: '/home/other' });
    expect(run('-i', 'echo', 'a b', '$HOME;').args).toEqual(['-l', '-c', 'echo a\\ b $HOME\\;']);
    expect(run('-D', '/srv', 'pwd').cwd).toBe('/srv');
  });

  it('says what it cannot do', () => {
    expect(refusal('-e', 'file')).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining('-e is not known'),
    });
    expect(refusal('--group=x', 'id')).toMatchObject({
      message: expect.stringContaining('--group is not known'),
    });
    expect(refusal('-u')).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining('-u needs a value'),
    });
    expect(refusal('-u', 'nobody-here', 'id')).toMatchObject({ message: 'sudo: unknown user nobody-here' });
    expect(refusal()).toMatchObject({ exitCode: 1, message: expect.stringContaining('usage') });
    expect(refusal('-v')).toEqual({ exitCode: 0, message: undefined });
    expect(refusal('-n', '-l')).toMatchObject({ exitCode: 0 });
  });
});
