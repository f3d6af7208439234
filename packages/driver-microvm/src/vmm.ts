import type { Pace } from '@islet/driver';
import type { ProcessRef } from '@islet/host';
import { GUEST } from '@islet/network';
import type { BootImages, MachineShape, MachineSize } from './machine-files.ts';

/** What a machine boots. */
export interface KernelBoot {
  kernel: string;
  initrd: string;
  /** What the template's files take of the disk's size, MiB. */
  diskUsedMb: number;
  /** Processes and threads that the sandbox may have at once. */
  mostProcesses: number;
}

/** What `scripts/microvm/init`, the guest's first program, finds among the kernel's arguments. */
export function guestArguments({ diskUsedMb, mostProcesses }: KernelBoot): string[] {
  return [
    `islet.address=${GUEST.address}/${GUEST.prefixLength}`,
    `islet.gateway=${GUEST.gateway}`,
    `islet.used=${diskUsedMb}`,
    `islet.processes=${mostProcesses}`,
  ];
}

/** Where a machine lives on its host. */
export interface MachineSite {
  id: string;
  /** The machine's own folder, absolute; on the file system of images and snapshots. */
  dir: string;
  /** Its volatile state, out of its VMM's reach but for a socket: what it is made of, and what its VMM says. */
  stateDir: string;
  /** User and group that its VMM runs as, which no other machine has. */
  uid: number;
}

/** A machine whose VMM runs. */
export interface RunningMachine extends MachineSite {
  main: ProcessRef;
}

/**
 * A program that runs virtual machines (a virtual machine monitor), in what it differs from another: how it is started and
 * confined, how it is talked to, and how it keeps disks. The rest of a machine is the driver's: its limits, images, records, its end.
 */
export interface Vmm {
  /** Names the build, as far as it matters to snapshots: one starts only under the build that it was taken with. */
  readonly build: string;
  readonly pace: Pace;
  /** Lays out the folder of a machine that boots. */
  layOutBoot(site: MachineSite, images: BootImages, size: MachineSize): Promise<MachineShape>;
  /** Lays out the folder of a machine that goes on from a snapshot. */
  layOutRestore(site: MachineSite, snapshotDir: string): Promise<MachineShape>;
  /** The command that becomes the machine's process, in the network namespace `netns`. Without `boot`: it waits for a snapshot. */
  command(site: MachineSite, netns: string, shape: MachineShape, boot?: KernelBoot): string[];
  /** Has the kernel of a machine that was started with `boot` run. */
  boot(machine: RunningMachine, shape: MachineShape, boot: KernelBoot): Promise<void>;
  /** Has a machine that was started without `boot` go on from the snapshot that its folder was laid out from. */
  restore(machine: RunningMachine, snapshotDir: string): Promise<void>;
  /** See `SandboxDriver.checkpoint`. May return while the process still ends. */
  checkpoint(machine: RunningMachine, snapshotDir: string): Promise<void>;
  /** See `SandboxDriver.snapshot`. */
  snapshot(machine: RunningMachine, snapshotDir: string): Promise<void>;
  /** Has a machine stand still until `resume`; does nothing to one that does. */
  stop(machine: RunningMachine): Promise<void>;
  /** Has a machine go on that was stopped, to be saved too; does nothing to one that runs. */
  resume(machine: RunningMachine): Promise<void>;
}
