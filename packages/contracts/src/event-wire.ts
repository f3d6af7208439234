import { isIP } from 'node:net';
import type { SandboxEventType, SandboxLifeEvent } from './events.ts';

/** The protocol's version of events. */
export const EVENT_VERSION = 'v2';

/** Before each type's own name. */
export const EVENT_PREFIX = 'sandbox.lifecycle.';

/** What the protocol called the types before. A checkpoint had no name then. */
const LABELS: Record<SandboxEventType, string> = {
  ...{ created: 'create', killed: 'kill', paused: 'pause', resumed: 'resume', updated: 'update' },
  checkpointed: '',
};

/** An event's category and label: deprecated names. */
export function legacyNames(type: SandboxEventType): { category: string; label: string } {
  const label = LABELS[type];
  return { category: label === '' ? '' : 'lifecycle', label };
}

/** What an event says beside what happened and to which sandbox; empty if nothing. */
export function eventData(event: SandboxLifeEvent): Record<string, unknown> {
  const { metadata, execution, killReason, endAtMs, egress } = event;
  return {
    ...(Object.keys(metadata).length > 0 && { sandbox_metadata: metadata }),
    ...(execution && {
      execution: {
        started_at: inSeconds(execution.startedAtMs),
        vcpu_count: execution.cpuCount,
        memory_mb: execution.memoryMb,
        execution_time: Math.round(execution.lengthMs),
      },
    }),
    ...(killReason !== undefined && { kill_reason: killReason }),
    ...(endAtMs !== undefined && { set_timeout: new Date(endAtMs).toISOString() }),
    ...(egress && {
      network_egress: {
        allowed_cidrs: egress.allowOut.filter(isAddress),
        denied_cidrs: egress.denyOut,
        allowed_domains: egress.allowOut.filter((rule) => !isAddress(rule)),
      },
    }),
  };
}

/** An event as it is sent to webhooks: compact JSON. @param teamTtlDays how long it can be asked for, if it does not say so */
export function eventBody(event: SandboxLifeEvent, teamTtlDays: number): string {
  const { category, label } = legacyNames(event.type);
  const data = eventData(event);
  const ttlDays = event.ttlDays ?? teamTtlDays;
  return JSON.stringify({
    id: event.id,
    version: EVENT_VERSION,
    type: EVENT_PREFIX + event.type,
    timestamp: new Date(event.timeMs).toISOString(),
    event_category: category,
    event_label: label,
    ...(Object.keys(data).length > 0 && { event_data: data }),
    sandbox_id: event.sandboxId,
    sandbox_execution_id: event.executionId,
    sandbox_template_id: event.templateId,
    sandbox_build_id: event.buildId,
    sandbox_team_id: event.teamId,
    ...(ttlDays > 0 && { events_ttl_days: ttlDays }),
  });
}

/** RFC 3339 without fractions. */
function inSeconds(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 'YYYY-MM-DDThh:mm:ss'.length)}Z`;
}

/** True for an address or a range of addresses, false for a name. */
function isAddress(rule: string): boolean {
  return isIP(rule.split('/')[0] ?? '') !== 0;
}
