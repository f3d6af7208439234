import { isIP } from 'node:net';
import { EVENT_TYPES, parseSandboxId, type SandboxLifeEvent } from '@islet/contracts';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { catchUp } from '../sandboxes/past.ts';
import { ErrorShape, SandboxParams } from '../sandboxes/shapes.ts';

const Event = Type.Object({
  id: Type.String({ format: 'uuid' }),
  version: Type.String(),
  type: Type.String(),
  timestamp: Type.String({ format: 'date-time' }),
  eventCategory: Type.Optional(Type.String({ deprecated: true })),
  eventLabel: Type.Optional(Type.String({ deprecated: true })),
  eventData: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]),
  sandboxId: Type.String(),
  sandboxExecutionId: Type.String(),
  sandboxTemplateId: Type.String(),
  sandboxBuildId: Type.String(),
  sandboxTeamId: Type.String(),
});

const TypeName = Type.String({ maxLength: 256 });

const querystring = Type.Object({
  offset: Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, default: 0, format: 'int32' }),
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 10, format: 'int32' }),
  orderAsc: Type.Boolean({ default: false }),
  types: Type.Optional(
    Type.Union([Type.Array(TypeName, { maxItems: 100 }), TypeName], { description: 'Repeated; any of them' }),
  ),
});

/** Before each type's own name. */
const PREFIX = 'sandbox.lifecycle.';

/** What the protocol called the types before. A checkpoint had no name then. */
const LABELS: Record<SandboxLifeEvent['type'], string> = {
  ...{ created: 'create', killed: 'kill', paused: 'pause', resumed: 'resume', updated: 'update' },
  checkpointed: '',
};

/** What happened to sandboxes. */
export function addEventRoutes(app: ApiApp, context: ApiContext): void {
  const { events } = context;
  const read = async (teamId: string, query: Static<typeof querystring>, sandboxId?: string) => {
    const { offset, limit, orderAsc } = query;
    const asked = query.types === undefined ? undefined : [query.types].flat();
    const types = asked && EVENT_TYPES.filter((type) => asked.includes(PREFIX + type));
    if (sandboxId !== undefined) await catchUp(context, teamId, sandboxId);
    const order = orderAsc ? 'ascending' : 'descending';
    return ((await events?.query({ teamId, sandboxId, types, offset, limit, order })) ?? []).map(present);
  };
  const response = { 200: Type.Array(Event), '4xx': ErrorShape };

  app.get(
    '/events/sandboxes',
    { config: { access: access.teamRead }, schema: { querystring, response } },
    (request) => read(callingTeam(request).id, request.query),
  );

  app.get(
    '/events/sandboxes/:sandboxID',
    { config: { access: access.teamRead }, schema: { params: SandboxParams, querystring, response } },
    (request) => read(callingTeam(request).id, request.query, parseSandboxId(request.params.sandboxID)),
  );
}

function present(event: SandboxLifeEvent): Static<typeof Event> {
  const label = LABELS[event.type];
  const data = dataOf(event);
  return {
    id: event.id,
    version: 'v2',
    type: PREFIX + event.type,
    timestamp: new Date(event.timeMs).toISOString(),
    eventCategory: label === '' ? '' : 'lifecycle',
    eventLabel: label,
    eventData: Object.keys(data).length > 0 ? data : null,
    sandboxId: event.sandboxId,
    sandboxExecutionId: event.executionId,
    sandboxTemplateId: event.templateId,
    sandboxBuildId: event.buildId,
    sandboxTeamId: event.teamId,
  };
}

function dataOf({
  metadata,
  execution,
  killReason,
  endAtMs,
  egress,
}: SandboxLifeEvent): Record<string, unknown> {
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

/** RFC 3339 without fractions. */
function inSeconds(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 'YYYY-MM-DDThh:mm:ss'.length)}Z`;
}

/** True for an address or a range of addresses, false for a name. */
function isAddress(rule: string): boolean {
  return isIP(rule.split('/')[0] ?? '') !== 0;
}
