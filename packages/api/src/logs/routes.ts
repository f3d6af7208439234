import { parseSandboxId } from '@islet/contracts';
import type { LogQuery, LogRecord } from '@islet/sinks';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { catchUp } from '../sandboxes/past.ts';
import { ErrorShape, SandboxParams } from '../sandboxes/shapes.ts';

const Level = Type.Union([
  Type.Literal('debug'),
  Type.Literal('info'),
  Type.Literal('warn'),
  Type.Literal('error'),
]);

const LogEntry = Type.Object({
  timestamp: Type.String({ format: 'date-time' }),
  level: Level,
  message: Type.String(),
  fields: Type.Record(Type.String(), Type.String()),
});

const LogLine = Type.Object({ timestamp: Type.String({ format: 'date-time' }), line: Type.String() });

const Milliseconds = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000, format: 'int64' });

const isoTime = (record: LogRecord) => new Date(record.timeMs).toISOString();

function present(record: LogRecord): Static<typeof LogEntry> {
  return { timestamp: isoTime(record), level: record.level, message: record.message, fields: record.fields };
}

/** The records that match, with the newest of a running sandbox. */
async function readLogs(context: ApiContext, query: LogQuery): Promise<LogRecord[]> {
  const { logs } = context;
  if (!logs) return [];
  await catchUp(context, query.teamId, query.sandboxId);
  return logs.query(query);
}

/** What a sandbox's daemon wrote. */
export function addLogRoutes(app: ApiApp, context: ApiContext): void {
  app.get(
    '/sandboxes/:sandboxID/logs',
    {
      config: { access: access.teamRead },
      schema: {
        params: SandboxParams,
        querystring: Type.Object({
          start: Type.Optional(Milliseconds),
          limit: Type.Integer({ minimum: 0, default: 1000 }),
        }),
        response: {
          200: Type.Object({ logs: Type.Array(LogLine), logEntries: Type.Array(LogEntry) }),
          '4xx': ErrorShape,
        },
      },
    },
    async (request) => {
      const sandboxId = parseSandboxId(request.params.sandboxID);
      const { start, limit } = request.query;
      const records = await readLogs(context, {
        teamId: callingTeam(request).id,
        sandboxId,
        cursorMs: start,
        limit,
        direction: 'forward',
      });
      return {
        logs: records.map((record) => ({ timestamp: isoTime(record), line: record.line })),
        logEntries: records.map(present),
      };
    },
  );

  app.get(
    '/v2/sandboxes/:sandboxID/logs',
    {
      config: { access: access.teamRead },
      schema: {
        params: SandboxParams,
        querystring: Type.Object({
          cursor: Type.Optional(Milliseconds),
          limit: Type.Integer({ minimum: 0, maximum: 1000, default: 1000 }),
          direction: Type.Union([Type.Literal('forward'), Type.Literal('backward')], { default: 'backward' }),
          level: Type.Optional(Level),
          search: Type.Optional(Type.String({ maxLength: 256 })),
        }),
        response: { 200: Type.Object({ logs: Type.Array(LogEntry) }), '4xx': ErrorShape },
      },
    },
    async (request) => {
      const { cursor, limit, direction, level, search } = request.query;
      const sandboxId = parseSandboxId(request.params.sandboxID);
      const records = await readLogs(context, {
        teamId: callingTeam(request).id,
        sandboxId,
        cursorMs: cursor,
        limit,
        direction,
        level,
        search,
      });
      return { logs: records.map(present) };
    },
  );
}
