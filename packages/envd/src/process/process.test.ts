import type { Waited } from '@islet/posix-spawn';
import { describe, expect, it, vi } from 'vitest';
import { endOf, exitedWith } from './end.ts';
import { findExecutable, type PathKind } from './executable.ts';
import { Reaper } from './reaper.ts';
import { parseSession } from './session.ts';
import { HIGH_WATER_BYTES, Subscription } from './subscription.ts';

describe('the end of a process', () => {
  it.each([
    [0, 0, false, { exitCode: 0, exited: true, status: 'exit status 0', error: undefined }],
    [3, 0, false, { exitCode: 3, exited: true, status: 'exit status 3', error: 'exit status 3' }],
    [-1, 9, false, { exitCode: -1, exited: false, status: 'signal: killed', error: 'signal: killed' }],
    [
      -1,
      11,
      true,
      {
        exitCode: -1,
        exited: false,
        status: 'signal: segmentation fault (core dumped)',
        error: 'signal: segmentation fault (core dumped)',
      },
    ],
    [-1, 34, false, { exitCode: -1, exited: false, status: 'signal: signal 34', error: 'signal: signal 34' }],
  ])('with code %i and signal %i', (exitCode, signal, coreDumped, expected) => {
    expect(endOf({ exitCode, signal, coreDumped })).toEqual(expected);
  });
});

describe('the session of a process', () => {
  it.each([
    ['24 (bash) S 1 20 21 0 -1 4194560 5 0', 21],
    ['24 (a) S 9 (b c) S 1 20 21 0 -1', 21],
  ])('of `%s` is %i', (stat, session) => {
    expect(parseSession(stat)).toBe(session);
  });
});

describe('looking for a program', () => {
  const files: Record<string, PathKind> = {
    '/bin/ls': 'program',
    '/opt/data': 'other',
    '/work/tool': 'program',
    '/bin/tool': 'program',
  };
  const find = (command: string, path: string | undefined = '/opt:/bin') =>
    findExecutable(command, { cwd: '/work', path, inspect: (candidate) => files[candidate] ?? 'missing' });

  it('takes the first in PATH, and the current directory if PATH says so', () => {
    expect(find('ls')).toEqual({ found: '/bin/ls' });
    expect(find('ls', undefined)).toEqual({ found: '/bin/ls' });
    expect(find('tool', ':/bin')).toEqual({ found: '/work/tool' });
  });

  it('does not use PATH for names with a slash', () => {
    expect(find('./tool')).toEqual({ found: '/work/tool' });
    expect(find('/no/such')).toEqual({ found: '/no/such' });
  });

  it('says like a shell what is missing', () => {
    expect(find('nothing')).toEqual({ exitCode: 127, reason: 'not found' });
    expect(find('')).toEqual({ exitCode: 127, reason: 'not found' });
    expect(find('data')).toEqual({ exitCode: 126, reason: 'Permission denied' });
  });
});

describe('a subscription', () => {
  const open = (keepaliveMs = 60_000) => {
    const onDrain = vi.fn();
    const onClose = vi.fn();
    return { subscription: new Subscription({ keepaliveMs, onDrain, onClose }), onDrain, onClose };
  };
  const data = (bytes: number) => ({ type: 'data', kind: 'stdout', bytes: new Uint8Array(bytes) }) as const;

  it('gives events in order and then that it is closed', async () => {
    const { subscription, onClose } = open();
    const first = subscription.next();
    subscription.push(data(1));
    subscription.push({ type: 'end', end: exitedWith(0) });
    subscription.close();
    expect(await first).toEqual(data(1));
    expect(await subscription.next()).toMatchObject({ type: 'end' });
    expect(await subscription.next()).toEqual({ type: 'closed', reason: undefined });
    expect(onClose).toHaveBeenCalledOnce();
  });

  it('is full with too much unread and tells when there is room again', async () => {
    const { subscription, onDrain } = open();
    subscription.push(data(HIGH_WATER_BYTES - 1));
    expect(subscription.full).toBe(false);
    subscription.push(data(1));
    expect(subscription.full).toBe(true);
    await subscription.next();
    expect(subscription.full).toBe(false);
    expect(onDrain).toHaveBeenCalledOnce();
  });

  it('drops what is unread when it is closed for a reason', async () => {
    const { subscription } = open();
    subscription.push(data(1));
    subscription.close('gone');
    subscription.push(data(1));
    expect(await subscription.next()).toEqual({ type: 'closed', reason: 'gone' });
    expect(subscription.full).toBe(false);
  });

  it('shows a sign of life after silence', async () => {
    const { subscription } = open(5);
    expect(await subscription.next()).toEqual({ type: 'keepalive' });
  });
});

describe('the reaper', () => {
  it('collects all that ended, strangers too, and knows when nobody is left', () => {
    const child = (pid: number) => ({ pid, exitCode: 0, signal: 0, coreDumped: false });
    const results: Waited[] = [child(5), child(99), 'none', child(6), 'childless'];
    const reaper = new Reaper(() => results.shift() ?? 'childless');
    const ended: number[] = [];
    for (const pid of [5, 6]) reaper.expect(pid, (reaped) => ended.push(reaped.pid));
    reaper.reap();
    expect(ended).toEqual([5]);
    expect(reaper.hasChildren).toBe(true);
    reaper.reap();
    expect(ended).toEqual([5, 6]);
    expect(reaper.hasChildren).toBe(false);
    reaper.expect(7, () => {});
    expect(reaper.hasChildren).toBe(true);
  });
});
