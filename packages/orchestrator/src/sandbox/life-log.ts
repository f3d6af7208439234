import { orchestratorProto, type SandboxLog } from '@islet/contracts';
import type { SandboxEvent } from './events.ts';

const { KillReason, SandboxState } = orchestratorProto;

/** What is said of a sandbox that came into a state. */
const MESSAGES: Partial<Record<orchestratorProto.SandboxState, string>> = {
  [SandboxState.RUNNING]: 'sandbox runs',
  [SandboxState.PAUSED]: 'sandbox is paused',
};

/**
 * Tells a sandbox's owner what happens to it: when it runs, is paused, and why it ended.
 * @param known sandboxes that lived before the events began
 * @returns when `events` end
 */
export async function logLives(
  known: readonly orchestratorProto.Sandbox[],
  events: AsyncIterable<SandboxEvent>,
  record: (log: SandboxLog) => void,
  now: () => number,
): Promise<void> {
  /** The state that was told last, and of which run. */
  const told = new Map(known.map((sandbox) => [sandbox.config?.sandboxId ?? '', runOf(sandbox)]));
  for await (const event of events) {
    const { config, state } = event.sandbox;
    if (!config) continue;
    const { sandboxId, teamId, templateId } = config;
    const write = (message: string, fields: Record<string, string>, level: SandboxLog['level'] = 'info') =>
      record({ sandboxId, teamId, timeMs: now(), level, logger: 'orchestrator', message, fields });
    if (event.kind === 'ended') {
      told.delete(sandboxId);
      const level = event.reason === KillReason.EXITED ? 'error' : 'info';
      write('sandbox ended', { kill_reason: KillReason[event.reason].toLowerCase() }, level);
      continue;
    }
    const message = MESSAGES[state];
    const run = runOf(event.sandbox);
    if (message === undefined || told.get(sandboxId) === run) continue;
    told.set(sandboxId, run);
    write(message, { template_id: templateId });
  }
}

const runOf = ({ state, executionId }: orchestratorProto.Sandbox): string => `${state} ${executionId}`;
