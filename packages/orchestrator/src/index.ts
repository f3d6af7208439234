export { probeFirecracker } from './drivers/microvm/firecracker/probe.ts';
export {
  type FirecrackerPaths,
  FirecrackerUnusable,
  type FoundFirecracker,
  findFirecracker,
} from './drivers/microvm/firecracker/programs.ts';
export { type MachinePrograms, microvmKind } from './drivers/microvm/kind.ts';
export type { GuestKernel, Probe } from './drivers/microvm/probe.ts';
export { probe, QEMU } from './drivers/microvm/qemu/accelerator.ts';
export {
  type Orchestrator,
  type OrchestratorOptions,
  startOrchestrator,
  type TemplateRuntime,
} from './orchestrator.ts';
export type { CommandEnd, SandboxCommand } from './sandbox/command.ts';
export type { SandboxEvent } from './sandbox/events.ts';
export { type BuildSandboxRequest, type CommandRunner, OutOfMemoryError } from './templates/build-sandbox.ts';
export type { SealRequest, SealResult } from './templates/seal.ts';
