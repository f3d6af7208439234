import { basename, join } from 'node:path';
import { FILES } from '../machine-files.ts';
import type { MachineSite } from '../vmm.ts';

/** Where Firecracker listens, inside its jail. */
export const API_SOCKET = '/api.sock';

/** A machine's files as its Firecracker sees them. */
export const JAILED = {
  memory: `/${FILES.memory}`,
  devices: `/${FILES.devices}`,
  /** There while the machine boots. */
  kernel: '/kernel',
  initrd: '/initrd',
  /** There while the machine is saved. */
  dirty: '/dirty',
} as const;

/** Firecracker's programs on this host, absolute paths. */
export interface FirecrackerPrograms {
  firecracker: string;
  jailer: string;
}

/** The folder that a machine's Firecracker sees as its root: the jailer names it so, after the program and the machine. */
export function jailRoot({ dir, id }: MachineSite, { firecracker }: FirecrackerPrograms): string {
  return join(jailBase({ dir }), basename(firecracker), id, 'root');
}

function jailBase({ dir }: { dir: string }): string {
  return join(dir, 'jail');
}

/**
 * The command that confines Firecracker and becomes it: the jailer (docs/jailer.md of Firecracker) makes the folder its root, with
 * /dev/kvm and /dev/net/tun in it, joins the network namespace and takes the machine's user. Not told of any cgroup, it leaves
 * the process in the one that it was started in, where the driver has put it. Firecracker filters its own system calls.
 */
export function jailedCommand(site: MachineSite, netns: string, programs: FirecrackerPrograms): string[] {
  return [
    // The guest's serial port is Firecracker's standard output, and a guest must not fill a disk with it.
    ...['sh', '-c', 'exec "$@" > /dev/null', 'sh'],
    programs.jailer,
    ...['--id', site.id, '--exec-file', programs.firecracker],
    ...['--uid', String(site.uid), '--gid', String(site.uid)],
    ...['--chroot-base-dir', jailBase(site), '--netns', `/run/netns/${netns}`],
    ...['--', '--api-sock', API_SOCKET],
  ];
}
