import {
  EVENT_PREFIX,
  EVENT_TYPES,
  EVENT_VERSION,
  eventData,
  legacyNames,
  parseSandboxId,
  type SandboxLifeEvent,
} from '@islet/contracts';
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

/** What happened to sandboxes. */
export function addEventRoutes(app: ApiApp, context: ApiContext): void {
  const { events } = context;
  const read = async (teamId: string, query: Static<typeof querystring>, sandboxId?: string) => {
    const { offset, limit, orderAsc } = query;
    const asked = query.types === undefined ? undefined : [query.types].flat();
    const types = asked && EVENT_TYPES.filter((type) => asked.includes(EVENT_PREFIX + type));
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
  const { category, label } = legacyNames(event.type);
  const data = eventData(event);
  return {
    id: event.id,
    version: EVENT_VERSION,
    type: EVENT_PREFIX + event.type,
    timestamp: new Date(event.timeMs).toISOString(),
    eventCategory: category,
    eventLabel: label,
    eventData: Object.keys(data).length > 0 ? data : null,
    sandboxId: event.sandboxId,
    sandboxExecutionId: event.executionId,
    sandboxTemplateId: event.templateId,
    sandboxBuildId: event.buildId,
    sandboxTeamId: event.teamId,
  };
}
