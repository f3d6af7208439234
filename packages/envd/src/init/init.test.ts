import { describe, expect, it } from 'vitest';
import { createSettings } from '../settings.ts';
import type { Standstill } from '../standstill/standstill.ts';
import { bootIdOf } from './boot-id.ts';
import { bundleWith } from './certificates.ts';
import { hostsWith, type IdentityFiles } from './identity.ts';
import { Initializer } from './initializer.ts';
import { parseInitRequest, parseTimestamp } from './request.ts';

describe('timestamps', () => {
  it.each([
    ['1970-01-01T00:00:00Z', 0n],
    ['1970-01-01T00:00:00.5Z', 500_000_000n],
    ['1970-01-01T00:00:00.123456789Z', 123_456_789n],
    ['1970-01-01T01:00:00.000000001+01:00', 1n],
  ])('%s', (text, expected) => {
    expect(parseTimestamp(text)).toBe(expected);
  });

  it.each(['', 'now', '1970-01-01', '1970-13-01T00:00:00Z'])('%j is refused', (text) => {
    expect(() => parseTimestamp(text)).toThrow(/RFC 3339/);
  });
});

describe('hosts', () => {
  it('keep all lines but those of an earlier life', () => {
    const first = hostsWith('127.0.0.1 localhost\n\n1.2.3.4 mine # note\n', new Map([['one', '127.0.1.1']]));
    expect(first).toBe('127.0.0.1 localhost\n1.2.3.4 mine # note\n127.0.1.1\tone\t# sandbox\n');
    expect(hostsWith(first, new Map([['two', '127.0.1.1']]))).toBe(
      '127.0.0.1 localhost\n1.2.3.4 mine # note\n127.0.1.1\ttwo\t# sandbox\n',
    );
  });

  it('always know localhost', () => {
    expect(hostsWith('', new Map())).toContain('127.0.0.1\tlocalhost\n');
    expect(hostsWith('# 127.0.0.1 localhost\n', new Map())).toContain('127.0.0.1\tlocalhost\n');
  });
});

it('a bundle gets one block of certificates, replaced the next time', () => {
  const first = bundleWith('OTHERS', 'A\n');
  expect(first).toBe('OTHERS\n# BEGIN sandbox certificates\nA\n# END sandbox certificates\n');
  expect(bundleWith(`${first}MORE\n`, 'B')).toBe(
    'OTHERS\nMORE\n# BEGIN sandbox certificates\nB\n# END sandbox certificates\n',
  );
});

describe('the machine', () => {
  const open = (programs = { run: true }) => {
    const told: number[] = [];
    const standstills: Standstill[] = [];
    const names: string[] = [];
    const mounts: string[] = [];
    let reseeds = 0;
    let draws = 0;
    let kernelReseeds = 0;
    let reboots = 0;
    const files = new Map<string, string>();
    const settings = createSettings();
    const identity: IdentityFiles = {
      read: (path) => files.get(path) ?? '',
      write: (path, contents) => void files.set(path, contents),
      makeDirectory: (path) => void mounts.push(`mkdir ${path}`),
      replace: (path, contents) => void files.set(path, contents),
    };
    const initializer = new Initializer({
      settings,
      files: identity,
      logger: { log() {} },
      clock: { keep: (ms) => void told.push(ms) },
      timers: { stoodStill: (standstill) => void standstills.push(standstill) },
      machine: {
        setHostname: (name) => names.push(name),
        reseedKernel: () => ++kernelReseeds > 0,
      },
      mounts: { bind: (from, to) => void mounts.push(`${from} on ${to}`) },
      servedVolumes: {
        mount: (volumes) => void mounts.push(...volumes.flatMap(({ target }) => (target ? [target] : []))),
      },
      isAlone: () => !programs.run,
      endAllProcesses: async () => void reboots++,
      random: { randomBytes: (length) => Buffer.alloc(length, ++draws), reseedOpenssl: () => ++reseeds > 0 },
      onApplied() {},
    });
    return {
      told,
      standstills,
      names,
      mounts,
      files,
      settings,
      reseeds: () => reseeds,
      kernelReseeds: () => kernelReseeds,
      reboots: () => reboots,
      apply: (body: object) => initializer.apply(parseInitRequest(body), undefined),
    };
  };

  it('is told the time', async () => {
    const machine = open();
    await machine.apply({ timestamp: '2026-01-01T00:00:00.040Z' });
    await machine.apply({});
    expect(machine.told).toEqual([Date.parse('2026-01-01T00:00:00.040Z')]);
  });

  it('has its kernel draw anew after every start, since others may have started from the same memory', async () => {
    const machine = open();
    await machine.apply({ sandboxId: 'ia', timestamp: '2026-01-01T00:00:00Z' });
    await machine.apply({ sandboxId: 'ia', timestamp: '2026-01-02T00:00:00Z' });
    expect(machine.kernelReseeds()).toBe(2);
  });

  it('takes a new identity once a sandbox, and new randomness at each start', async () => {
    const machine = open();
    const is = () =>
      ['/etc/machine-id', '/run/islet/boot_id', '/run/islet/generation'].map((path) =>
        Number.parseInt((machine.files.get(path) ?? '').slice(0, 2), 16),
      );
    await machine.apply({ sandboxId: 'ia', hostname: 'a' });
    expect([machine.reseeds(), machine.names]).toEqual([1, ['a']]);
    const first = is();
    expect(new Set(first).size).toBe(3);
    await machine.apply({ sandboxId: 'ia', hostname: 'a' });
    expect([machine.reseeds(), machine.names]).toEqual([2, ['a']]);
    const second = is();
    expect(second.slice(0, 2)).toEqual(first.slice(0, 2));
    expect(second[2]).not.toBe(first[2]);
    await machine.apply({ sandboxId: 'ib', hostname: 'b' });
    expect([machine.reseeds(), machine.names]).toEqual([3, ['a', 'b']]);
    const third = is();
    for (const index of [0, 1, 2]) expect(third[index]).not.toBe(second[index]);
    await machine.apply({ sandboxId: 'ib', hostname: 'b', reboot: true });
    expect(is()[0]).toBe(third[0]);
    expect(is()[1]).not.toBe(third[1]);
  });

  it('keeps what it drew ahead of demand, until it is started again', async () => {
    const machine = open();
    const drawn = () =>
      ['/etc/machine-id', '/run/islet/boot_id', '/run/islet/generation'].map((path) =>
        machine.files.get(path),
      );
    await machine.apply({ sandboxId: 'nobody', hostname: 'nobody', startId: 'm1' });
    const ahead = drawn();
    await machine.apply({ sandboxId: 'ia', hostname: 'a', startId: 'm1' });
    expect(drawn()).toEqual(ahead);
    expect(machine.names).toEqual(['nobody', 'a']);
    await machine.apply({ sandboxId: 'ib', hostname: 'b', startId: 'm2' });
    const other = drawn();
    for (const [index, value] of other.entries()) expect(value).not.toBe(ahead[index]);
    await machine.apply({ sandboxId: 'ic', hostname: 'c' });
    await machine.apply({ sandboxId: 'id', hostname: 'd' });
    for (const [index, value] of drawn().entries()) expect(value).not.toBe(other[index]);
    expect(machine.kernelReseeds()).toBe(4);
  });

  it('is told behind the answer if envd is its only program', async () => {
    const machine = open({ run: false });
    const finish = await machine.apply({
      ...{ sandboxId: 'ia', hostname: 'a', accessToken: 'secret', timestamp: '2026-01-01T00:00:00Z' },
    });
    expect([machine.files.size, machine.names, machine.kernelReseeds()]).toEqual([0, [], 0]);
    // The answer tells the machine's own.
    expect(machine.told).toHaveLength(1);
    finish();
    expect(machine.files.get('/run/e2b/.E2B_SANDBOX_ID')).toBe('ia');
    expect([machine.names, machine.kernelReseeds(), machine.settings.accessToken]).toEqual([
      ['a'],
      1,
      'secret',
    ]);
  });

  it('has its volumes before the answer, which says what fails of them', async () => {
    const machine = open({ run: false });
    await machine.apply({ sandboxId: 'ia', volumes: [{ id: 'v1', path: '/mnt/a' }] });
    expect(machine.mounts).toHaveLength(2);
  });

  it('is closed to others though it cannot be told who it is', async () => {
    const machine = open({ run: false });
    machine.files.set = () => {
      throw new Error('ENOSPC: no space left on device');
    };
    const finish = await machine.apply({ sandboxId: 'ia', accessToken: 'secret' });
    finish();
    expect(machine.settings.accessToken).toBe('secret');
    await expect(machine.apply({ sandboxId: 'ib', accessToken: 'other' })).rejects.toMatchObject({
      status: 401,
    });
  });

  it('has a boot id in the form of the kernel’s', () => {
    expect(bootIdOf(Buffer.alloc(16, 0xff))).toBe('ffffffff-ffff-4fff-bfff-ffffffffffff\n');
  });

  it('gets each volume once, outer ones first', async () => {
    const machine = open();
    const volumes = [
      { id: 'v2', path: '/mnt/a/b' },
      { id: 'v1', path: '/mnt/a' },
    ];
    await machine.apply({ sandboxId: 'ia', volumes });
    await machine.apply({ sandboxId: 'ia', volumes });
    expect(machine.mounts).toEqual([
      'mkdir /mnt/a',
      '/opt/islet/volumes/v1 on /mnt/a',
      'mkdir /mnt/a/b',
      '/opt/islet/volumes/v2 on /mnt/a/b',
    ]);
  });

  it('has volumes mounted that it is served, before they are put where they belong', async () => {
    const machine = open();
    await machine.apply({ volumes: [{ id: 'v', path: '/mnt/v', target: '169.254.0.22:/v' }] });
    expect(machine.mounts).toEqual(['169.254.0.22:/v', 'mkdir /mnt/v', '/opt/islet/volumes/v on /mnt/v']);
    const bad = ['169.254.0.22:/v,hard', 'host:/v', '169.254.0.22:/a/b', 'tmpfs', 5];
    for (const target of bad) {
      const apply = async () => machine.apply({ volumes: [{ id: 'w', path: '/w', target }] });
      await expect(apply).rejects.toThrow('targets of volumes must be');
    }
  });

  it.each([{ id: 'v', path: 'mnt' }, { id: 'v', path: '/mnt/../etc' }, { id: '../x', path: '/mnt' }, null])(
    'refuses the volume %j',
    async (volume) => {
      const machine = open();
      await expect(async () => machine.apply({ volumes: [volume] })).rejects.toThrow(/volumes must have/);
    },
  );

  it('ends what ran only if a reboot is asked for', async () => {
    const machine = open();
    await machine.apply({ sandboxId: 'ia' });
    expect(machine.reboots()).toBe(0);
    await machine.apply({ sandboxId: 'ia', reboot: true });
    expect(machine.reboots()).toBe(1);
  });
});
