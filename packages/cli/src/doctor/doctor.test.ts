import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DatabaseReport } from '../control/administration.ts';
import { CAPABILITIES } from '../host/rights.ts';
import { evaluateCapabilities } from './checks/capabilities.ts';
import { type CgroupFacts, evaluateCgroups } from './checks/cgroups.ts';
import { evaluateDatabase, evaluateKeys, evaluateWellKnown } from './checks/database.ts';
import { evaluateDisk } from './checks/disk.ts';
import {
  evaluateForwarding,
  evaluateKernel,
  evaluateMemory,
  evaluateNode,
  evaluatePidMax,
} from './checks/host.ts';
import { evaluateHttps } from './checks/https.ts';
import { evaluateInternet } from './checks/internet.ts';
import { evaluateLoopDevices } from './checks/loop-devices.ts';
import { evaluateNamespaces, type NamespaceFacts } from './checks/namespaces.ts';
import { evaluateNftables } from './checks/nftables.ts';
import { evaluatePorts } from './checks/ports.ts';
import { evaluatePrograms, probePrograms } from './checks/programs.ts';
import { evaluateRunning } from './checks/running.ts';
import { evaluateRunsc } from './checks/runsc.ts';
import { evaluateSandboxNames, probeSandboxNames } from './checks/sandbox-names.ts';
import { evaluateUnprivileged } from './checks/unprivileged.ts';
import { type Capability, type Confinement, capability, parseAppArmor, parseStatus } from './confinement.ts';
import type { RunResult } from './run.ts';

const ALL = (1n << 41n) - 1n;
const without = (...names: Capability[]) =>
  names.reduce((set, name) => set & ~(1n << BigInt(CAPABILITIES.map(capability).indexOf(name))), ALL);

const free: Confinement = {
  uid: 0,
  effective: ALL,
  bounding: ALL,
  seccomp: 'off',
  noNewPrivileges: false,
  appArmorProfile: undefined,
  seLinuxContext: undefined,
  sysctls: {
    maxNetNamespaces: 1000,
    maxUserNamespaces: 1000,
    maxMntNamespaces: 1000,
    unprivilegedUserns: 1,
    appArmorRestrictsUserns: undefined,
  },
};

const worked: RunResult = { code: 0, stdout: '', stderr: '' };
const denied = (stderr: string): RunResult => ({ code: 1, stdout: '', stderr });
const EPERM = denied('unshare: unshare failed: Operation not permitted\n');

/** The facts if the kernel answers `result` to every attempt. */
const namespaces = (confinement: Partial<Confinement>, result = EPERM): NamespaceFacts => ({
  confinement: { ...free, ...confinement },
  attempts: [
    { kind: 'network', result },
    { kind: 'mount', result: worked },
  ],
  veth: worked,
  mount: worked,
});

describe('an orchestrator that may not create namespaces', () => {
  it('is told the missing capability, and to become root if that would give it', () => {
    const result = evaluateNamespaces(
      namespaces({ uid: 1000, effective: without('CAP_SYS_ADMIN'), bounding: ALL }),
    );
    expect(result).toMatchObject({ status: 'failed', fix: expect.stringContaining('sudo') });
    expect(result.detail).toContain('cannot make network namespaces');
    expect(result.cause).toMatch(/lacks CAP_SYS_ADMIN \(uid 1000/);
  });

  it('is told that its container dropped the capability, and how to give it back', () => {
    const result = evaluateNamespaces(
      namespaces({ effective: without('CAP_SYS_ADMIN'), bounding: without('CAP_SYS_ADMIN') }),
    );
    expect(result.cause).toMatch(/dropped CAP_SYS_ADMIN/);
    expect(result.fix).toContain('--cap-add SYS_ADMIN');
  });

  it.each([
    [
      'AppArmor',
      { appArmorProfile: 'docker-default' },
      /AppArmor denies it.*"docker-default"/,
      /apparmor=unconfined/,
    ],
    [
      'SELinux',
      { seLinuxContext: 'system_u:system_r:container_t:s0' },
      /SELinux denies it.*container_t/,
      /ausearch/,
    ],
    ['seccomp', { seccomp: 'filter' as const }, /seccomp filter denies/, /seccomp=unconfined/],
  ])('is told that %s denied it though it has the capability', (_, confinement, cause, fix) => {
    const result = evaluateNamespaces(namespaces(confinement));
    expect(result.status).toBe('failed');
    expect(result.cause).toMatch(cause);
    expect(result.fix).toMatch(fix);
  });

  it('is told that a sysctl forbids more of them', () => {
    const sysctls = { ...free.sysctls, maxNetNamespaces: 0 };
    const result = evaluateNamespaces(
      namespaces({ sysctls }, denied('unshare: unshare failed: No space left on device')),
    );
    expect(result.cause).toContain('user.max_net_namespaces is 0');
    expect(result.fix).toBe('sysctl -w user.max_net_namespaces=65536');
  });

  it('is told that the kernel has none of the kind', () => {
    const result = evaluateNamespaces(namespaces({}, denied('unshare: unshare failed: Invalid argument')));
    expect(result.cause).toMatch(/kernel was built without/);
  });

  it('is told the capability for interfaces, which is another one', () => {
    const facts = namespaces(
      { effective: without('CAP_NET_ADMIN'), bounding: without('CAP_NET_ADMIN') },
      worked,
    );
    const result = evaluateNamespaces({
      ...facts,
      veth: denied('RTNETLINK answers: Operation not permitted'),
    });
    expect(result.cause).toMatch(/dropped CAP_NET_ADMIN/);
    expect(evaluateNamespaces({ ...facts, veth: denied('Error: Unknown device type.') }).fix).toBe(
      'modprobe veth',
    );
  });

  it('is not warned if all works', () => {
    expect(evaluateNamespaces(namespaces({}, worked)).status).toBe('ok');
  });
});

describe('what the kernel says of a process', () => {
  it('is read from its status', () => {
    const text =
      'Name:\tnode\nUid:\t1000\t0\t0\t0\nCapEff:\t00000000a80425fb\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n';
    expect(parseStatus(text)).toEqual({
      uid: 0,
      effective: 0xa80425fbn,
      bounding: 0x1ffffffffffn,
      seccomp: 'filter',
      noNewPrivileges: true,
    });
  });

  it('is a confining AppArmor profile only if that denies anything', () => {
    expect(parseAppArmor('docker-default (enforce)\n')).toBe('docker-default');
    expect(parseAppArmor('unconfined\n')).toBeUndefined();
    expect(parseAppArmor('learning (complain)\n')).toBeUndefined();
  });

  it('lists every capability that is missing', () => {
    expect(evaluateCapabilities(free).status).toBe('ok');
    const bare = { ...free, uid: 1000, effective: 0n };
    expect(evaluateCapabilities(bare)).toMatchObject({
      status: 'failed',
      fix: expect.stringContaining('sudo'),
    });
    const dropped = without('CAP_NET_ADMIN', 'CAP_MKNOD');
    const boxed = evaluateCapabilities({ ...free, effective: dropped, bounding: dropped });
    expect(boxed.detail).toBe('missing CAP_NET_ADMIN, CAP_MKNOD');
    expect(boxed.fix).toContain('--cap-add NET_ADMIN --cap-add MKNOD');
  });
});

describe('users without rights', () => {
  it('are kept from namespaces by a setting that is named, which does not stop Islet', () => {
    const cases = [
      [{ appArmorRestrictsUserns: 1 }, 'kernel.apparmor_restrict_unprivileged_userns'],
      [{ unprivilegedUserns: 0 }, 'kernel.unprivileged_userns_clone'],
      [{ maxUserNamespaces: 0 }, 'user.max_user_namespaces'],
    ] as const;
    for (const [change, name] of cases) {
      const confinement = { ...free, sysctls: { ...free.sysctls, ...change } };
      const result = evaluateUnprivileged({ confinement, attempt: EPERM });
      expect(result.status).toBe('warning');
      expect(result.cause).toContain(name);
    }
    expect(evaluateUnprivileged({ confinement: free, attempt: worked }).status).toBe('ok');
  });
});

describe('stored keys', () => {
  const report: DatabaseReport = {
    kind: 'pglite',
    location: '/d/db',
    applied: ['0000_init'],
    pending: [],
    defects: [],
  };
  const facts = (changes: Partial<DatabaseReport>) =>
    ({ kind: 'report', report: { ...report, ...changes }, askedRunningInstance: false }) as const;

  it('that can never match are named row by row, each with its reason and what to do', () => {
    const row = (id: string, reason: string) =>
      ({ table: 'team_api_keys', id, name: "bob's", ownerId: 'team-1', reason }) as const;
    const results = evaluateKeys(
      facts({ defects: [row('k1', 'it is a bcrypt hash'), row('k2', 'its team is gone')] }),
    );
    expect(results.map(({ status }) => status)).toEqual(['failed', 'failed']);
    expect(results[0]?.detail).toContain('team_api_keys row k1 ("bob\'s")');
    expect(results[0]?.cause).toBe('it is a bcrypt hash');
    expect(results[1]?.fix).toBe("./islet keys revoke k2 && ./islet keys create --team team-1 --name 'bobs'");
  });

  it('are fine if none is defective, and not spoken of where there is no database', () => {
    expect(evaluateKeys(facts({})).map(({ status }) => status)).toEqual(['ok']);
    expect(evaluateKeys({ kind: 'none', dataDir: '/d' })).toEqual([]);
  });

  it('that everybody knows are a warning on this machine, and a failure where others reach it', () => {
    const at = (host: string, dataDir = '/var/lib/islet') => ({ host, dataDir, databaseUrl: undefined });
    const both = facts({ wellKnown: { apiKey: true, accessToken: true } });
    expect(evaluateWellKnown(both, at('127.0.0.1'))).toMatchObject([
      {
        status: 'warning',
        detail: expect.stringContaining('API key and access token'),
        fix: './islet keys revoke e2b_53ae1fed82754c17ad8077fbc8bcdd90 --data-dir /var/lib/islet',
      },
    ]);
    expect(evaluateWellKnown(both, at('0.0.0.0'))).toMatchObject([{ status: 'failed' }]);
    const token = facts({ wellKnown: { apiKey: false, accessToken: true } });
    expect(evaluateWellKnown(token, at('::1', "/my dir's"))).toMatchObject([
      {
        status: 'warning',
        fix: `./islet tokens revoke sk_e2b_89215020937a4c989cde33d7bc647715 --data-dir '/my dir'\\''s'`,
      },
    ]);
    const none = facts({ wellKnown: { apiKey: false, accessToken: false } });
    expect(evaluateWellKnown(none, at('0.0.0.0'))).toMatchObject([{ status: 'ok' }]);
    expect(evaluateWellKnown(facts({}), at('0.0.0.0'))).toEqual([]);
  });

  it('are in a database that is told from one to be migrated and one out of reach', () => {
    expect(evaluateDatabase(facts({})).status).toBe('ok');
    expect(evaluateDatabase(facts({ pending: ['0001_more'] }))).toMatchObject({
      status: 'warning',
      fix: './islet db migrate',
    });
    expect(evaluateDatabase({ kind: 'none', dataDir: '/d' }).status).toBe('ok');
    const away = evaluateDatabase({
      kind: 'unreachable',
      where: 'PostgreSQL at h/db',
      errors: ['cannot connect', 'ECONNREFUSED'],
      external: true,
    });
    expect(away).toMatchObject({ status: 'failed', cause: 'ECONNREFUSED' });
    expect(away.fix).toContain('psql');
  });
});

describe('the machine', () => {
  it.each([
    ['v20.18.9', 'failed'],
    ['v18.20.0', 'failed'],
    ['v20.19.0', 'ok'],
    ['v24.1.0', 'ok'],
  ])('runs Node %s: %s', (version, status) => expect(evaluateNode(version).status).toBe(status));

  it.each([
    ['linux', 'x64', '6.12.0-1-amd64', 'ok'],
    ['linux', 'arm64', '5.4.0', 'ok'],
    ['linux', 'x64', '4.9.0-8', 'failed'],
    ['linux', 'riscv64', '6.12.0', 'failed'],
    ['darwin', 'arm64', '24.0.0', 'failed'],
  ])('has a kernel %s %s %s: %s', (platform, arch, release, status) => {
    expect(evaluateKernel({ platform, arch, release }).status).toBe(status);
  });

  it('has memory and disk enough, a little, or too little', () => {
    const memory = (gib: number) =>
      evaluateMemory({ availableBytes: gib * 1024 ** 3, totalBytes: 8 * 1024 ** 3 }).status;
    expect([memory(4), memory(1), memory(0.5)]).toEqual(['ok', 'warning', 'failed']);
    const need = { id: 'data-disk', leastGib: 1, comfortableGib: 10 } as const;
    const disk = (gib: number) =>
      evaluateDisk({ purpose: 'data', path: '/d', freeBytes: gib * 1024 ** 3, fsType: 0 }, need).status;
    expect([disk(20), disk(5), disk(0.5)]).toEqual(['ok', 'warning', 'failed']);
  });

  it('forwards packets, can be made to, or cannot', () => {
    const status = (value: string, writable: boolean) => evaluateForwarding({ value, writable }).status;
    expect([status('1\n', false), status('0\n', true), status('0\n', false)]).toEqual(['ok', 'ok', 'failed']);
  });

  it('has cgroups with every controller, some, none, or not for us', () => {
    const full: CgroupFacts = {
      version: 'v2',
      controllers: ['cpu', 'memory', 'pids', 'io'],
      error: undefined,
      isDispensable: false,
    };
    expect(evaluateCgroups(full).status).toBe('ok');
    const partial = evaluateCgroups({ ...full, controllers: ['cpu', 'pids'] });
    expect(partial).toMatchObject({ status: 'warning', fix: expect.stringContaining('+memory') });
    expect(evaluateCgroups({ ...full, version: 'none' }).status).toBe('warning');
    const denied = { ...full, error: 'EROFS: read-only file system' };
    expect(evaluateCgroups(denied).status).toBe('failed');
    expect(evaluateCgroups({ ...denied, isDispensable: true }).status).toBe('warning');
  });

  it('lacks programs, whose packages are named once, and the folders that were looked in', () => {
    const facts = { missing: [], notExecutable: [], path: '/usr/sbin:/usr/bin' };
    expect(evaluatePrograms(facts).status).toBe('ok');
    const result = evaluatePrograms({ ...facts, missing: ['nft', 'unshare', 'nsenter'] });
    expect(result.detail).toBe('not installed: nft, unshare, nsenter (looked in /usr/sbin:/usr/bin)');
    expect(result.fix).toContain('apt-get install nftables util-linux (');
  });

  it('has programs that may not be executed, which is not the same as lacking them', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'islet-programs-'));
    try {
      await writeFile(join(dir, 'nft'), '#!/bin/sh\n', { mode: 0o644 });
      const facts = await probePrograms(`${dir}:/nowhere`);
      expect(facts.notExecutable).toEqual([join(dir, 'nft')]);
      expect(facts.missing).toContain('ip');
      expect(facts.missing).not.toContain('nft');
      const result = evaluatePrograms({ ...facts, missing: [] });
      expect(result).toMatchObject({ status: 'failed', fix: expect.stringContaining(`chmod +x ${dir}/nft`) });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('lacks loop devices, without which sandboxes run all the same', () => {
    const failed = denied('mount: /tmp/x: failed to setup loop device.');
    expect(evaluateLoopDevices(failed, free)).toMatchObject({
      status: 'warning',
      fix: expect.stringContaining('modprobe -a loop ext4'),
    });
    const confined = { ...free, effective: without('CAP_SYS_ADMIN') };
    expect(evaluateLoopDevices(failed, confined).cause).toContain('CAP_SYS_ADMIN');
    expect(evaluateLoopDevices(worked, free).status).toBe('ok');
  });

  it('lacks a firewall for a reason that is told apart', () => {
    const missing = {
      code: 127,
      stdout: '',
      stderr: 'unshare: failed to execute nft: No such file or directory',
    };
    expect(evaluateNftables(missing, free)).toMatchObject({
      cause: expect.stringContaining('no folder of PATH has nft'),
      fix: expect.stringContaining('apt-get install nftables'),
    });
    const kernel = denied('Error: Could not process rule: Operation not supported');
    expect(evaluateNftables(kernel, free).fix).toContain('modprobe');
    const confined = { ...free, effective: without('CAP_NET_ADMIN') };
    expect(evaluateNftables(EPERM, confined).cause).toContain('CAP_NET_ADMIN');
    expect(evaluateNftables(worked, free).status).toBe('ok');
  });

  it('has its ports taken by another program, or by the Islet that is asked about', () => {
    const problem = {
      wish: { flag: 'api-port', purpose: 'the API', host: '127.0.0.1', port: 3000 },
      reason: 'in use by pid 7 (nginx)',
    };
    const facts = { ports: [3000, 0], problems: [problem], runningPid: undefined };
    expect(evaluatePorts(facts)).toMatchObject({
      status: 'failed',
      cause: '3000 (the API): in use by pid 7 (nginx)',
      fix: expect.stringContaining('--api-port'),
    });
    expect(evaluatePorts({ ...facts, runningPid: 42 })).toMatchObject({ status: 'ok' });
    expect(evaluatePorts({ ...facts, problems: [] }).detail).toBe('3000 are free');
  });

  it('is without names or internet, which is a warning', () => {
    const host = 'deb.debian.org';
    const status = (dnsError: string | undefined, connectError: string | undefined) =>
      evaluateInternet({ host, dnsError, connectError }).map((result) => result.status);
    expect(status(undefined, undefined)).toEqual(['ok', 'ok']);
    expect(status('ENOTFOUND', undefined)).toEqual(['warning']);
    expect(status(undefined, 'no answer')).toEqual(['ok', 'warning']);
  });
});

describe('runsc', () => {
  const version = 'runsc version 0.0~20240729.0';
  const facts = { path: '/usr/bin/runsc', version, sandbox: worked, confinement: free };
  const printed = { ...worked, stdout: 'islet-doctor\n' };

  it('counts as working only if a sandbox printed what it should', () => {
    expect(evaluateRunsc({ ...facts, sandbox: printed }).status).toBe('ok');
    expect(evaluateRunsc(facts).status).toBe('failed');
  });

  it('is told by its release, and a warning says which were tested', () => {
    const found = evaluateRunsc({ ...facts, sandbox: printed });
    expect(found.detail).toBe('/usr/bin/runsc, 0.0~20240729.0 (tested: 20240729), runs a sandbox');
    const other = evaluateRunsc({ ...facts, version: 'runsc version release-20260525.0', sandbox: printed });
    expect(other).toMatchObject({
      status: 'warning',
      detail: '/usr/bin/runsc, release-20260525.0 (tested: 20240729), runs a sandbox',
      cause: expect.stringContaining('not with release-20260525.0'),
      fix: expect.stringContaining('docs/gvisor.md'),
    });
  });

  it('fails for a reason that is told apart', () => {
    expect(evaluateRunsc({ ...facts, path: undefined }).fix).toContain('apt-get install runsc');
    const confused = denied('creating interfaces: cannot run with network enabled in root network namespace');
    expect(evaluateRunsc({ ...facts, sandbox: confused }).fix).toContain('newer runsc');
    const confined = { ...free, effective: without('CAP_SYS_ADMIN') };
    expect(evaluateRunsc({ ...facts, sandbox: EPERM, confinement: confined }).cause).toContain(
      'CAP_SYS_ADMIN',
    );
  });
});

it('warns of a host with few processes, and says how to allow more', () => {
  expect(evaluatePidMax('32768')).toMatchObject({
    status: 'warning',
    fix: expect.stringContaining('pid_max='),
  });
  expect(evaluatePidMax('4194304').status).toBe('ok');
  expect(evaluatePidMax(undefined).status).toBe('ok');
});

it('says of a running Islet what nobody caught', () => {
  const status = { pid: 7, version: '1', apiUrl: 'http://a', sandboxUrl: 'http://s', unexpectedErrors: 0 };
  expect(evaluateRunning(undefined)).toEqual([]);
  expect(evaluateRunning(status)).toMatchObject([{ status: 'ok' }]);
  expect(evaluateRunning(status, without('CAP_SYS_MODULE'))).toMatchObject([
    { status: 'warning', detail: expect.stringMatching(/^pid 7 has rights.*\bsys_time\b/) },
  ]);
  expect(evaluateRunning({ ...status, unexpectedErrors: 2 })).toMatchObject([
    { status: 'warning', detail: 'pid 7, 2 unexpected errors' },
  ]);
});

describe('names of sandboxes', () => {
  const name = '3000-ix.islet.localhost';

  it('are looked up as programs do', async () => {
    const { addresses, error } = await probeSandboxNames('islet.localhost');
    expect({ addresses, error }).toEqual({
      addresses: expect.arrayContaining(['127.0.0.1']),
      error: undefined,
    });
  });

  it('that lead to this machine are fine', () => {
    const facts = { name, addresses: ['::1', '127.0.0.1'], error: undefined };
    expect(evaluateSandboxNames(facts)).toMatchObject({
      status: 'ok',
      detail: `${name} leads to ::1, 127.0.0.1`,
    });
    const below = { name: '3000-ix.sandboxes.example.com', addresses: ['192.0.2.1'], error: undefined };
    expect(evaluateSandboxNames(below).status).toBe('ok');
  });

  it.each([
    { addresses: [], error: 'getaddrinfo ENOTFOUND' },
    // A resolver that answers everything with an advertisement.
    { addresses: ['198.51.100.7'], error: undefined },
  ])('below localhost that lead elsewhere need libnss-myhostname: %o', (found) => {
    const result = evaluateSandboxNames({ name, ...found });
    expect(result).toMatchObject({ status: 'warning', fix: expect.stringContaining('libnss-myhostname') });
  });

  it('below a domain of the operator’s need a wildcard in the DNS', () => {
    const facts = { name: '3000-ix.sandboxes.example.com', addresses: [], error: 'ENOTFOUND' };
    expect(evaluateSandboxNames(facts)).toMatchObject({
      status: 'warning',
      fix: expect.stringContaining('*.sandboxes.example.com'),
    });
  });
});

describe('https to sandboxes', () => {
  const authority = { name: 'Islet on here', pem: 'CERT\n', validTo: '2036-01-01T00:00:00.000Z' };
  const now = Date.parse('2026-01-01');

  it('is nobody’s concern before there is an authority', () => {
    expect(evaluateHttps({ authority: undefined, systemRoots: '', now })).toEqual([]);
  });

  it('says whether the system trusts the authority', () => {
    const detail = (systemRoots: string) => evaluateHttps({ authority, systemRoots, now })[0]?.detail;
    expect(detail('OTHER\nCERT\nMORE')).toContain('trusted by the system');
    expect(detail('OTHER')).toContain('not trusted by the system (./islet trust --system)');
  });

  it('warns before the authority ends', () => {
    const late = Date.parse('2035-12-01');
    expect(evaluateHttps({ authority, systemRoots: 'CERT', now: late })[0]).toMatchObject({
      status: 'warning',
      fix: expect.stringContaining('./islet trust'),
    });
  });
});
