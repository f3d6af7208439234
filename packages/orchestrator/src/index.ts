export { CredentialQuestions } from './egress/questions.ts';
export type { CommandEnd, SandboxCommand } from './envd/command.ts';
export type { PeerNode } from './exchange/peer-objects.ts';
export { type Resting, RestingSender, type RestingState, readRestingNode } from './exchange/resting-node.ts';
export {
  type BuildOutcome,
  type Orchestrator,
  type OrchestratorOptions,
  startOrchestrator,
  type TemplateRuntime,
} from './orchestrator.ts';
export type { RootFileSystem } from './roots/root-file-systems.ts';
export type { SandboxEvent } from './sandbox/events.ts';
export {
  type BuildSandbox,
  type BuildSandboxRequest,
  type CommandRunner,
  OutOfMemoryError,
} from './templates/build-sandbox.ts';
export type { SealRequest, SealResult } from './templates/seal.ts';
