import { EVENT_TYPES, type SandboxLifeEvent } from '@islet/contracts';
import type { EventStore } from '@islet/sinks';
import { type Static, Type } from 'typebox';
import { Milliseconds, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { eventDataOf, parseEventData } from './event-data.ts';

/** Before each type's own name. */
const PREFIX = 'sandbox.lifecycle.';
/** What the protocol called the types before. A checkpoint had no name then. */
const LABELS: Record<SandboxLifeEvent['type'], string> = {
  ...{ created: 'create', killed: 'kill', paused: 'pause', resumed: 'resume', updated: 'update' },
  checkpointed: '',
};
/** How long an event is kept that does not say so itself. */
const TTL_DAYS = 7;

const Event = Type.Object({
  ...{ id: Type.String(), timeMs: Milliseconds, data: Type.String() },
  type: Type.Union(EVENT_TYPES.map((type) => Type.Literal(type))),
  ...{ sandboxId: Type.String(), teamId: Type.String(), executionId: Type.String() },
  ...{ templateId: Type.String(), buildId: Type.String(), ttlDays: Type.Integer() },
});

/** Events of sandboxes in ClickHouse. */
export function createEvents(tables: Tables): EventStore {
  return {
    write: (events) => tables.write('sandbox_events', events.map(rowOfEvent)),
    async query({ teamId, sandboxId, types, offset, limit, order }) {
      const direction = order === 'ascending' ? 'ASC' : 'DESC';
      const conditions = [
        'sandbox_team_id = {teamId:String}',
        ...(sandboxId === undefined ? [] : ['sandbox_id = {sandboxId:String}']),
        ...(types === undefined ? [] : ['type IN {types:Array(String)}']),
      ];
      const rows = await tables.read(
        `SELECT id, toUnixTimestamp64Milli(timestamp) AS timeMs, event_data AS data,
            substring(type, ${PREFIX.length + 1}) AS type, sandbox_id AS sandboxId, sandbox_team_id AS teamId,
            sandbox_execution_id AS executionId, sandbox_template_id AS templateId, sandbox_build_id AS buildId,
            events_ttl_days AS ttlDays
          FROM (SELECT * FROM sandbox_events WHERE ${conditions.join(' AND ')}
            ORDER BY timestamp ${direction}, id ${direction} LIMIT 1 BY id LIMIT {limit:UInt32} OFFSET {offset:UInt32})
          ORDER BY timestamp ${direction}, id ${direction}`,
        {
          ...{ teamId, limit, offset, ...(sandboxId !== undefined && { sandboxId }) },
          ...(types && { types: types.map((type) => PREFIX + type) }),
        },
        Event,
      );
      return rows.map(eventOf);
    },
  };
}

function rowOfEvent(event: SandboxLifeEvent) {
  const label = LABELS[event.type];
  return rowOf(event.teamId, {
    ...{ id: event.id, version: 'v2', type: PREFIX + event.type, timestamp: timeText(event.timeMs) },
    ...{ event_category: label === '' ? '' : 'lifecycle', event_label: label },
    event_data: JSON.stringify(eventDataOf(event)),
    ...{ sandbox_id: event.sandboxId, sandbox_execution_id: event.executionId },
    ...{ sandbox_template_id: event.templateId, sandbox_build_id: event.buildId },
    ...{ sandbox_team_id: event.teamId, events_ttl_days: event.ttlDays ?? TTL_DAYS },
  });
}

function eventOf({ ttlDays, data, ...event }: Static<typeof Event>): SandboxLifeEvent {
  return { ...event, ...parseEventData(data), ...(ttlDays !== TTL_DAYS && { ttlDays }) };
}
