export { type Chosen, type IsolationChoice, PROBE_CACHE } from './drivers/choose.ts';
export type { WritableRoot } from './drivers/driver.ts';
export { type GuestKernel, type Probe, probe, QEMU } from './drivers/microvm/accelerator.ts';
export { openHostExec } from './host/exec.ts';
export {
  type Orchestrator,
  type OrchestratorOptions,
  startOrchestrator,
  type TemplateRuntime,
} from './orchestrator.ts';
export type { CommandEnd, SandboxCommand } from './sandbox/command.ts';
export { type BuildSandboxRequest, type CommandRunner, OutOfMemoryError } from './templates/build-sandbox.ts';
export type { SealRequest, SealResult } from './templates/seal.ts';
