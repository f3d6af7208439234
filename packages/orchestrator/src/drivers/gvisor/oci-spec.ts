import type { MachineSpec } from '../driver.ts';

/** Where the guest runtime (node, its libraries, envd) is seen in every sandbox. */
const GUEST_MOUNT = '/opt/islet';

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

const CPU_PERIOD_US = 100_000;

/**
 * CPU time that no single sandbox gets, so that one whose threads all spin leaves the node and its neighbours responsive.
 * Measured on two cores with six busy loops: at 2 CPUs other programs of the host waited for seconds, at 1.5 for 4 ms.
 */
const CPUS_KEPT_FREE = 0.5;

/** The share of the host's CPUs that a sandbox may use, as a cgroup quota in µs of each period. */
export function cpuQuotaUs(cpuCount: number, hostCpus: number): number {
  return Math.round(Math.min(cpuCount, Math.max(0.5, hostCpus - CPUS_KEPT_FREE)) * CPU_PERIOD_US);
}

/** The command that runs envd on the bundled node, whatever C library the image has, if any. */
export function envdCommand(ldName: string): string[] {
  return [
    `${GUEST_MOUNT}/lib/${ldName}`,
    '--library-path',
    `${GUEST_MOUNT}/lib`,
    `${GUEST_MOUNT}/node`,
    '--max-semi-space-size=4',
    `${GUEST_MOUNT}/envd/envd.mjs`,
  ];
}

export interface SpecOptions {
  cgroupsPath: string;
  /** File name of the dynamic linker in the guest directory. */
  ldName: string;
  /** Most host threads of the sandbox, its kernel's own included. */
  pidsLimit: number;
  hostCpus: number;
}

/** The OCI configuration of a sandbox. A snapshot restores only with the same mounts as it was taken with. */
export function ociSpec(machine: MachineSpec, options: SpecOptions): object {
  const tmpfs = (destination: string, mode: string) => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', `mode=${mode}`],
  });
  return {
    ociVersion: '1.0.0',
    process: {
      user: { uid: 0, gid: 0 },
      args: envdCommand(options.ldName),
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root'],
      cwd: '/',
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1_048_576, soft: 65_536 }],
      noNewPrivileges: false,
    },
    root: { path: machine.rootfsDir, readonly: false },
    hostname: 'islet',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/dev/pts', type: 'devpts', source: 'devpts' },
      tmpfs('/dev/shm', '1777'),
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
      { destination: GUEST_MOUNT, type: 'bind', source: machine.guestDir, options: ['bind', 'ro'] },
    ],
    linux: {
      namespaces: [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'network', path: `/run/netns/${machine.netns}` },
      ],
      cgroupsPath: options.cgroupsPath,
      resources: {
        memory: { limit: machine.memoryMb * 1024 * 1024 },
        cpu: { quota: cpuQuotaUs(machine.cpuCount, options.hostCpus), period: CPU_PERIOD_US },
        pids: { limit: options.pidsLimit },
      },
    },
  };
}
