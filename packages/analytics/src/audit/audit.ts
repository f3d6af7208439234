import type { AuditQuery, AuditRecord, AuditStore } from '@islet/sinks';
import { Type } from 'typebox';
import { inRange, Milliseconds, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';

const TextOrNull = Type.Union([Type.String(), Type.Null()]);

const Found = Type.Object({
  ...{ id: Type.String(), timeMs: Milliseconds },
  via: Type.Union([Type.Literal('api'), Type.Literal('control')]),
  actor: Type.Union(
    ['team', 'user', 'operator', 'bearer'].map((actor) => Type.Literal(actor as AuditRecord['actor'])),
  ),
  ...{ teamId: TextOrNull, userId: TextOrNull, keyId: TextOrNull, keyMask: TextOrNull, address: TextOrNull },
  ...{ method: Type.String(), route: Type.String(), objects: Type.Record(Type.String(), Type.String()) },
  status: Type.Integer(),
});

/** What has to be the same, and its column. */
const COLUMNS = {
  ...{ teamId: 'team_id', userId: 'user_id', keyId: 'key_id', address: 'address' },
  ...{ actor: 'actor', method: 'method', route: 'route' },
} as const satisfies Partial<Record<keyof AuditQuery, string>>;

/** What was done, in ClickHouse. */
export function createAudit(tables: Tables): AuditStore {
  return {
    write: (records) => tables.write('audit', records.map(rowOfRecord)),
    async query(query) {
      const { object, startMs, endMs, order, after, limit } = query;
      const direction = order === 'ascending' ? 'ASC' : 'DESC';
      const same = Object.entries(COLUMNS).flatMap(([name, column]) => {
        const value = query[name as keyof typeof COLUMNS];
        return value === undefined ? [] : [{ name, value, text: `${column} = {${name}:String}` }];
      });
      const conditions = [
        ...['1', ...same.map(({ text }) => text)],
        ...(object === undefined ? [] : ['has(mapValues(objects), {object:String})']),
        ...(startMs === undefined ? [] : ['timestamp >= fromUnixTimestamp64Milli({startMs:Int64})']),
        ...(endMs === undefined ? [] : ['timestamp < fromUnixTimestamp64Milli({endMs:Int64})']),
        ...(after === undefined
          ? []
          : [
              `(timestamp, id) ${order === 'ascending' ? '>' : '<'} (fromUnixTimestamp64Milli({afterMs:Int64}), {afterId:String})`,
            ]),
      ];
      return await tables.read(
        `SELECT id, toUnixTimestamp64Milli(timestamp) AS timeMs, via, actor, team_id AS teamId, user_id AS userId,
            key_id AS keyId, key_mask AS keyMask, address, method, route, objects, status
          FROM audit WHERE ${conditions.join(' AND ')}
          ORDER BY timestamp ${direction}, id ${direction} LIMIT 1 BY id LIMIT {limit:UInt32}`,
        {
          ...{ limit, ...Object.fromEntries(same.map(({ name, value }) => [name, value])) },
          ...(object !== undefined && { object }),
          ...(startMs !== undefined && { startMs: inRange(startMs) }),
          ...(endMs !== undefined && { endMs: inRange(endMs) }),
          ...(after && { afterMs: inRange(after.timeMs), afterId: after.id }),
        },
        Found,
      );
    },
  };
}

function rowOfRecord(record: AuditRecord) {
  return rowOf(record.teamId ?? '', {
    ...{ id: record.id, timestamp: timeText(record.timeMs), via: record.via, actor: record.actor },
    ...{ team_id: record.teamId, user_id: record.userId, key_id: record.keyId, key_mask: record.keyMask },
    ...{ address: record.address, method: record.method, route: record.route },
    ...{ objects: record.objects, status: record.status },
  });
}
