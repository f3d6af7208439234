import type { Exec } from '@islet/host';
import { TAP } from '@islet/network';
import type { RunningMachine } from '../vmm.ts';

/**
 * Drops what would reach a machine from its network. Firecracker pauses CPUs only: frames go on into the guest's memory, whose queue
 * would be ahead of the one that the saved state of the device knows. Whoever sent them sends them again.
 */
export function holdFrames(machine: RunningMachine, exec: Exec): Promise<void> {
  return queueDiscipline(machine, exec, ['pfifo', 'limit', '0']);
}

/** Lets them through again; may be repeated. */
export function letFrames(machine: RunningMachine, exec: Exec): Promise<void> {
  return queueDiscipline(machine, exec, ['pfifo']);
}

async function queueDiscipline({ main }: RunningMachine, exec: Exec, discipline: string[]): Promise<void> {
  const tc = ['tc', 'qdisc', 'replace', 'dev', TAP, 'root', ...discipline];
  await exec('nsenter', [`--net=/proc/${main.pid}/ns/net`, ...tc]);
}
