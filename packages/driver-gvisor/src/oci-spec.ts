import { join } from 'node:path';
import {
  CPU_PERIOD_US,
  cpuQuotaUs,
  GUEST_MOUNT,
  guestNodeCommand,
  type MachineSpec,
  processLimit,
} from '@islet/driver';
import { AHEAD_SHARE } from '@islet/host';

/** Changes whenever the mounts below do: snapshots taken with others do not restore. */
export const SPEC_SHAPE = 3;

/** Where volumes are seen: an empty directory of the guest files. */
const VOLUMES_MOUNT = `${GUEST_MOUNT}/volumes`;

/** The sandbox's disk until envd has made it the root file system. In /dev, which is the sandbox's own, so that no image needs the folder. */
const DISK_MOUNT = '/dev/islet-disk';

/** The folder below a machine's own in which gVisor keeps the content of the disk. */
export const DISK_FOLDER = 'files';

/** What an image must have for the mounts of its sandboxes. */
export const MOUNT_POINTS = [
  { path: 'proc', mode: 0o555 },
  { path: 'sys', mode: 0o555 },
  { path: 'dev', mode: 0o755 },
  { path: 'tmp', mode: 0o1777 },
  { path: GUEST_MOUNT, mode: 0o755 },
] as const;

/**
 * Root in a sandbox is root of gVisor's own kernel, not of the host: it gets everything that a virtual machine's root
 * would have, so that mounts, ping, strace and unprivileged ports work.
 */
const CAPABILITIES = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'IPC_LOCK',
  'KILL',
  'MKNOD',
  'NET_ADMIN',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_ADMIN',
  'SYS_CHROOT',
  'SYS_NICE',
  'SYS_PTRACE',
  'SYS_RESOURCE',
  'SYS_TIME',
].map((name) => `CAP_${name}`);

/** Every sandbox has an envd, and each page that it writes to is the sandbox's own: young objects have 1 MiB, not 16. */
const ENVD_NODE_OPTIONS = ['--max-semi-space-size=1'];

/** One heap of the C library for all threads. Programs that envd starts inherit nothing of it. */
const ENVD_ENV = ['MALLOC_ARENA_MAX=1'];

/** The command that runs envd on the bundled node. */
export function envdCommand(ldName: string, args: readonly string[]): string[] {
  return [...guestNodeCommand(ldName, ENVD_NODE_OPTIONS, 'envd/envd.mjs'), ...args];
}

/**
 * Most host threads of a sandbox. gVisor ends if it gets no more, so this bounds what the host has to bear and is not
 * meant to be reached: systrap takes two threads a process, some more if processes come and go fast, and each takes 0.35 MiB
 * at least of the sandbox's memory, which is used up before.
 */
export function hostThreadLimit(memoryMb: number): number {
  return 4 * processLimit(memoryMb) + 1024;
}

export interface SpecOptions {
  cgroupsPath: string;
  /** File name of the dynamic linker in the guest directory. */
  ldName: string;
  hostCpus: number;
}

/** The OCI configuration of a sandbox. A snapshot restores only with the same mounts as it was taken with. */
export function ociSpec(machine: MachineSpec, options: SpecOptions): object {
  const disk = diskOf(machine);
  return {
    ociVersion: '1.0.0',
    process: {
      user: { uid: 0, gid: 0 },
      args: envdCommand(options.ldName, [
        ...disk.args,
        '--most-processes',
        `${processLimit(machine.memoryMb)}`,
      ]),
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', ...ENVD_ENV],
      cwd: '/',
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1_048_576, soft: 65_536 }],
      noNewPrivileges: false,
    },
    root: { path: machine.rootfsDir, readonly: machine.writableRoot === undefined },
    hostname: 'islet',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      tmpfs('/dev', ['nosuid', 'mode=755', 'size=1m']),
      { destination: '/dev/pts', type: 'devpts', source: 'devpts' },
      // As Linux has it: half of the memory.
      tmpfs('/dev/shm', ['nosuid', 'nodev', 'mode=1777', `size=${Math.floor(machine.memoryMb / 2)}m`]),
      ...disk.mounts,
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
      { destination: GUEST_MOUNT, type: 'bind', source: machine.guestDir, options: ['bind', 'ro'] },
      ...volumesOf(machine),
    ],
    annotations: disk.annotations,
    linux: {
      namespaces: [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        // As this process sees it: runsc's own mount namespace sees none that is made after somebody replaced the mount of /run/netns.
        { type: 'network', path: `/proc/${process.pid}/root/run/netns/${machine.netns}` },
      ],
      cgroupsPath: options.cgroupsPath,
      resources: {
        memory: { limit: machine.memoryMb * 1024 * 1024 },
        cpu: {
          quota: cpuQuotaUs(machine.cpuCount, options.hostCpus),
          period: CPU_PERIOD_US,
          ...(machine.isAhead && { shares: AHEAD_SHARE }),
        },
        pids: { limit: hostThreadLimit(machine.memoryMb) },
      },
    },
  };
}

/** With what is mounted below it; mounts made later spread by themselves, as gVisor makes those of its sandboxes slaves. */
function volumesOf({ volumesDir }: MachineSpec): object[] {
  if (volumesDir === undefined) return [];
  return [{ destination: VOLUMES_MOUNT, type: 'bind', source: volumesDir, options: ['rbind'] }];
}

interface Disk {
  args: string[];
  mounts: object[];
  annotations: Record<string, string>;
}

/**
 * gVisor's own overlay over the root file system has no size. So the image is mounted read-only, and beside it a file system
 * that does have one: the annotations make a `tmpfs` of the bind mount, which keeps its content in a file of the mount's
 * source instead of in memory. envd, which is told of it when it boots, lays it over the image and makes that its root.
 */
function diskOf({ dir, diskSizeMb, diskUsedMb, writableRoot }: MachineSpec): Disk {
  if (writableRoot) return { args: [], mounts: [], annotations: {} };
  if (diskSizeMb === undefined) throw new TypeError('a machine needs the size of its disk');
  const source = join(dir, DISK_FOLDER);
  return {
    args: ['--disk', DISK_MOUNT, ...(diskUsedMb === undefined ? [] : ['--disk-used-mb', `${diskUsedMb}`])],
    mounts: [{ destination: DISK_MOUNT, type: 'bind', source, options: ['bind', 'rw'] }],
    annotations: {
      'dev.gvisor.spec.mount.disk.source': source,
      'dev.gvisor.spec.mount.disk.type': 'tmpfs',
      'dev.gvisor.spec.mount.disk.share': 'container',
      'dev.gvisor.spec.mount.disk.options': `rw,size=${diskSizeMb}m`,
    },
  };
}

function tmpfs(destination: string, options: string[]): object {
  return { destination, type: 'tmpfs', source: 'tmpfs', options };
}
