import { isIP } from 'node:net';
import type { SandboxLifeEvent } from '@islet/contracts';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

type Data = Pick<SandboxLifeEvent, 'metadata' | 'execution' | 'killReason' | 'endAtMs' | 'egress'>;

const Time = Type.String({ format: 'date-time' });

/** The column event_data, as the protocol has it. */
const EventData = Type.Object({
  sandbox_metadata: Type.Optional(Type.Record(Type.String(), Type.String())),
  execution: Type.Optional(
    Type.Object({
      ...{ started_at: Time, vcpu_count: Type.Number() },
      ...{ memory_mb: Type.Number(), execution_time: Type.Number() },
    }),
  ),
  kill_reason: Type.Optional(Type.String()),
  set_timeout: Type.Optional(Time),
  network_egress: Type.Optional(
    Type.Object({
      allowed_cidrs: Type.Array(Type.String()),
      denied_cidrs: Type.Array(Type.String()),
      allowed_domains: Type.Array(Type.String()),
    }),
  ),
});

export function eventDataOf(event: Data): Static<typeof EventData> {
  const { metadata, execution, killReason, endAtMs, egress } = event;
  return {
    ...(Object.keys(metadata).length > 0 && { sandbox_metadata: metadata }),
    ...(execution && {
      execution: {
        started_at: new Date(execution.startedAtMs).toISOString(),
        ...{ vcpu_count: execution.cpuCount, memory_mb: execution.memoryMb },
        execution_time: execution.lengthMs,
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

/** The reverse. What is not as it should be says nothing. */
export function parseEventData(json: string): Data {
  const data = parse(json);
  const { execution, network_egress: egress } = data;
  return {
    metadata: data.sandbox_metadata ?? {},
    ...(execution && {
      execution: {
        startedAtMs: Date.parse(execution.started_at),
        lengthMs: execution.execution_time,
        ...{ cpuCount: execution.vcpu_count, memoryMb: execution.memory_mb },
      },
    }),
    ...(data.kill_reason !== undefined && { killReason: data.kill_reason }),
    ...(data.set_timeout !== undefined && { endAtMs: Date.parse(data.set_timeout) }),
    ...(egress && {
      egress: {
        allowOut: [...egress.allowed_cidrs, ...egress.allowed_domains],
        denyOut: egress.denied_cidrs,
      },
    }),
  };
}

function parse(json: string): Static<typeof EventData> {
  try {
    const value: unknown = JSON.parse(json);
    return Value.Check(EventData, value) ? value : {};
  } catch {
    return {};
  }
}

/** True for an address or a range of addresses, false for a name. */
function isAddress(rule: string): boolean {
  return isIP(rule.split('/')[0] ?? '') !== 0;
}
