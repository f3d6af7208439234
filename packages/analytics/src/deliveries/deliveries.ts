import {
  DELIVERY_ERRORS,
  type DeliveryAttempt,
  type DeliveryGroup,
  type DeliveryQuery,
  type DeliveryStore,
} from '@islet/sinks';
import { type Static, Type } from 'typebox';
import { inRange, Milliseconds, parseTexts, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()]);

const Attempt = Type.Object({
  ...{ id: Type.String(), timeMs: Milliseconds, durationMs: Type.Integer(), eventId: Type.String() },
  ...{ sandboxId: Type.String(), eventType: Type.String() },
  status: Type.Union([Type.Literal('success'), Type.Literal('failed')]),
  ...{ requestUrl: Type.String(), requestHeaders: Type.String(), requestBody: Type.String() },
  ...{ responseStatus: orNull(Type.Integer()), responseHeaders: orNull(Type.String()) },
  responseBody: orNull(Type.String()),
  errorClass: orNull(Type.Union(DELIVERY_ERRORS.map((name) => Type.Literal(name)))),
  errorMessage: orNull(Type.String()),
});
const Stats = Type.Object({
  ...{ startMs: Milliseconds, total: Type.Integer(), failed: Type.Integer() },
  ...{ minimum: Type.Number(), maximum: Type.Number(), sum: Type.Number() },
});

const COLUMNS = `id, toUnixTimestamp64Milli(timestamp) AS timeMs, duration_ms AS durationMs, event_id AS eventId,
  sandbox_id AS sandboxId, event_type AS eventType, delivery_status AS status,
  request_url AS requestUrl, request_headers AS requestHeaders, request_body AS requestBody,
  response_status AS responseStatus, response_headers AS responseHeaders, response_body AS responseBody,
  error_class AS errorClass, error_message AS errorMessage`;
const OF_HOOK = 'team_id = {teamId:String} AND webhook_id = {webhookId:String}';

/** Attempts to deliver, in ClickHouse. */
export function createDeliveries(tables: Tables): DeliveryStore {
  return {
    write: (attempts) => tables.write('webhook_deliveries', attempts.map(rowOfAttempt)),
    async groups(query) {
      const { teamId, webhookId, order, after, limit } = query;
      const direction = order === 'ascending' ? 'ASC' : 'DESC';
      const selected = selectionOf(query);
      const behind =
        after === undefined
          ? ''
          : `HAVING (newest, event_id) ${order === 'ascending' ? '>' : '<'} ({afterMs:Int64}, {afterId:String})`;
      const rows = await tables.read(
        `SELECT ${COLUMNS} FROM webhook_deliveries FINAL
          WHERE ${selected.text} AND event_id IN (
            SELECT event_id FROM (SELECT event_id, toUnixTimestamp64Milli(max(timestamp)) AS newest
              FROM webhook_deliveries WHERE ${selected.text} GROUP BY event_id ${behind}
              ORDER BY newest ${direction}, event_id ${direction} LIMIT {limit:UInt32}))
          ORDER BY timestamp DESC, id DESC`,
        {
          ...{ teamId, webhookId, limit, ...selected.params },
          ...(after && { afterMs: inRange(after.timeMs), afterId: after.eventId }),
        },
        Attempt,
      );
      const groups = groupsOf(rows.map((row) => attemptOf(teamId, webhookId, row)));
      const sign = order === 'ascending' ? 1 : -1;
      return groups.sort((a, b) => sign * compare(a, b));
    },
    async stats({ teamId, webhookId, startMs, endMs, bucketMs }) {
      const rows = await tables.read(
        `SELECT intDiv(toUnixTimestamp64Milli(timestamp), {bucketMs:Int64}) * {bucketMs:Int64} AS startMs, count() AS total,
            countIf(delivery_status = 'failed') AS failed, min(duration_ms) AS minimum, max(duration_ms) AS maximum,
            sum(duration_ms) AS sum
          FROM webhook_deliveries FINAL WHERE ${OF_HOOK}
            AND timestamp >= fromUnixTimestamp64Milli({startMs:Int64}) AND timestamp < fromUnixTimestamp64Milli({endMs:Int64})
          GROUP BY startMs ORDER BY startMs`,
        { teamId, webhookId, bucketMs, startMs: inRange(startMs), endMs: inRange(endMs) },
        Stats,
      );
      return rows.map(({ startMs: start, total, failed, ...durationMs }) => ({
        ...{ startMs: start, total, failed, durationMs },
      }));
    },
  };
}

/** The condition that an attempt has to fulfil. */
function selectionOf({ statuses, eventTypes, startMs, endMs }: DeliveryQuery) {
  const text = [
    OF_HOOK,
    ...(statuses ? ['delivery_status IN {statuses:Array(String)}'] : []),
    ...(eventTypes ? ['event_type IN {eventTypes:Array(String)}'] : []),
    ...(startMs === undefined ? [] : ['timestamp >= fromUnixTimestamp64Milli({startMs:Int64})']),
    ...(endMs === undefined ? [] : ['timestamp < fromUnixTimestamp64Milli({endMs:Int64})']),
  ].join(' AND ');
  const params = {
    ...(statuses && { statuses: [...statuses] }),
    ...(eventTypes && { eventTypes: [...eventTypes] }),
    ...(startMs !== undefined && { startMs: inRange(startMs) }),
    ...(endMs !== undefined && { endMs: inRange(endMs) }),
  };
  return { text, params };
}

function rowOfAttempt({ request, response, ...attempt }: DeliveryAttempt) {
  return rowOf(attempt.teamId, {
    ...{ id: attempt.id, timestamp: timeText(attempt.timeMs), team_id: attempt.teamId },
    ...{ webhook_id: attempt.webhookId, event_id: attempt.eventId, sandbox_id: attempt.sandboxId },
    ...{ event_type: attempt.eventType, delivery_status: attempt.status, duration_ms: attempt.durationMs },
    ...{
      request_url: request.url,
      request_headers: JSON.stringify(request.headers),
      request_body: request.body,
    },
    response_status: response?.status ?? null,
    response_headers: response ? JSON.stringify(response.headers) : null,
    response_body: response?.body ?? null,
    ...{ error_class: attempt.errorClass, error_message: attempt.errorMessage },
  });
}

function attemptOf(teamId: string, webhookId: string, row: Static<typeof Attempt>): DeliveryAttempt {
  const { id, timeMs, durationMs, eventId, sandboxId, eventType, status, errorClass, errorMessage } = row;
  return {
    ...{ id, timeMs, durationMs, teamId, webhookId, eventId, sandboxId, eventType, status },
    request: { url: row.requestUrl, headers: parseTexts(row.requestHeaders) ?? {}, body: row.requestBody },
    response:
      row.responseStatus === null
        ? null
        : {
            status: row.responseStatus,
            headers: parseTexts(row.responseHeaders ?? '') ?? {},
            body: row.responseBody ?? '',
          },
    ...{ errorClass, errorMessage },
  };
}

/** @param attempts newest first */
function groupsOf(attempts: readonly DeliveryAttempt[]): DeliveryGroup[] {
  const groups = new Map<string, DeliveryGroup>();
  for (const attempt of attempts) {
    const { eventId, eventType, sandboxId } = attempt;
    const group = groups.get(eventId) ?? { eventId, eventType, sandboxId, attempts: [] };
    group.attempts.push(attempt);
    groups.set(eventId, group);
  }
  return [...groups.values()];
}

function compare(a: DeliveryGroup, b: DeliveryGroup): number {
  const [aMs, bMs] = [a, b].map(({ attempts }) => attempts[0]?.timeMs ?? 0);
  if (aMs !== bMs) return (aMs ?? 0) - (bMs ?? 0);
  return a.eventId < b.eventId ? -1 : 1;
}
