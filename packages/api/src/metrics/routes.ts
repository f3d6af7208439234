import {
  invalidTimeRange,
  isSandboxId,
  parseSandboxId,
  type SandboxSample,
  tooManySandboxesAsked,
} from '@islet/contracts';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { HEAD_BYTES } from '../http/caps.ts';
import { ErrorShape, SandboxParams } from '../sandboxes/shapes.ts';

const MAX_SANDBOXES = 100;

const SandboxMetric = Type.Object({
  timestamp: Type.String({ format: 'date-time', deprecated: true }),
  timestampUnix: Type.Integer({ format: 'int64' }),
  cpuCount: Type.Integer(),
  cpuUsedPct: Type.Number(),
  memUsed: Type.Integer({ format: 'int64' }),
  memTotal: Type.Integer({ format: 'int64' }),
  memCache: Type.Integer({ format: 'int64' }),
  diskUsed: Type.Integer({ format: 'int64' }),
  diskTotal: Type.Integer({ format: 'int64' }),
});

export const UnixSeconds = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000, format: 'int64' });

function present(sample: SandboxSample): Static<typeof SandboxMetric> {
  const { cpuCount, cpuUsedPct, memUsed, memTotal, memCache, diskUsed, diskTotal } = sample;
  return {
    timestamp: new Date(sample.timeMs).toISOString(),
    timestampUnix: Math.trunc(sample.timeMs / 1000),
    cpuCount,
    cpuUsedPct,
    memUsed,
    memTotal,
    memCache,
    diskUsed,
    diskTotal,
  };
}

/** What sandboxes used, now and before. */
export function addMetricsRoutes(app: ApiApp, { samples }: ApiContext): void {
  app.get(
    '/sandboxes/:sandboxID/metrics',
    {
      config: { access: access.teamRead },
      schema: {
        params: SandboxParams,
        querystring: Type.Object({ start: Type.Optional(UnixSeconds), end: Type.Optional(UnixSeconds) }),
        response: { 200: Type.Array(SandboxMetric), '4xx': ErrorShape },
      },
    },
    async (request) => {
      const id = parseSandboxId(request.params.sandboxID);
      const { start, end } = request.query;
      if (start !== undefined && end !== undefined && start > end) {
        throw invalidTimeRange();
      }
      const range = {
        startMs: start === undefined ? undefined : start * 1000,
        endMs: end === undefined ? undefined : end * 1000,
      };
      return ((await samples?.range(callingTeam(request).id, id, range)) ?? []).map(present);
    },
  );

  app.get(
    '/sandboxes/metrics',
    {
      config: { access: access.teamRead },
      schema: {
        querystring: Type.Object({
          sandbox_ids: Type.String({ maxLength: HEAD_BYTES, description: 'Comma-separated' }),
        }),
        response: {
          200: Type.Object({ sandboxes: Type.Record(Type.String(), SandboxMetric) }),
          '4xx': ErrorShape,
        },
      },
    },
    async (request) => {
      const ids = request.query.sandbox_ids.split(',').filter((id) => id !== '');
      if (ids.length > MAX_SANDBOXES) {
        throw tooManySandboxesAsked(MAX_SANDBOXES);
      }
      const known = ids.map((id) => id.split('-')[0] ?? '').filter(isSandboxId);
      const latest = (await samples?.latest(callingTeam(request).id, known)) ?? [];
      return { sandboxes: Object.fromEntries(latest.map((sample) => [sample.sandboxId, present(sample)])) };
    },
  );
}
