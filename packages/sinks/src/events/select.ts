import type { SandboxLifeEvent } from '@islet/contracts';
import type { EventQuery } from './events.ts';

/** Whether a query asks for an event of its team. */
export function selectsEvent({ sandboxId, types }: EventQuery, event: SandboxLifeEvent): boolean {
  if (sandboxId !== undefined && event.sandboxId !== sandboxId) return false;
  return types === undefined || types.includes(event.type);
}
