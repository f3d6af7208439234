export { probeFirecracker } from './firecracker/probe.ts';
export {
  type FirecrackerPaths,
  FirecrackerUnusable,
  type FoundFirecracker,
  findFirecracker,
} from './firecracker/programs.ts';
export { type MachinePrograms, microvmKind } from './kind.ts';
export type { Probe } from './probe.ts';
export { probe, QEMU } from './qemu/accelerator.ts';
