export {
  type Orchestrator,
  type OrchestratorOptions,
  startOrchestrator,
  type TemplateRuntime,
} from './orchestrator.ts';
export type { SealRequest, SealResult } from './templates/seal.ts';
