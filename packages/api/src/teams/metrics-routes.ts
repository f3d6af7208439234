import { foreignTeamMetrics, invalidTimeRange } from '@islet/contracts';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { UnixSeconds } from '../metrics/routes.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';
import { BUCKET_MS, KEPT_MS, SAMPLE_MS, type UsageBucket } from './usage.ts';

const Moment = {
  timestamp: Type.String({ format: 'date-time', deprecated: true }),
  timestampUnix: Type.Integer({ format: 'int64' }),
};
const TeamMetric = Type.Object({
  ...Moment,
  concurrentSandboxes: Type.Integer(),
  sandboxStartRate: Type.Number({ description: 'Sandboxes a second' }),
});
const MaxTeamMetric = Type.Object({ ...Moment, value: Type.Number() });

const params = Type.Object({ teamID: Type.String() });
const range = { start: Type.Optional(UnixSeconds), end: Type.Optional(UnixSeconds) };
type Range = { start?: number; end?: number };

/** By the metric's name, a bucket's greatest value. */
const GREATEST = {
  concurrent_sandboxes: ({ running }: UsageBucket) => running,
  sandbox_start_rate: ({ createdAtOnce }: UsageBucket) => createdAtOnce / (SAMPLE_MS / 1000),
};

/** How many sandboxes a team has running and starts. */
export function addTeamMetricsRoutes(app: ApiApp, { usage, clock }: ApiContext): void {
  const read = (request: FastifyRequest<{ Params: Static<typeof params>; Querystring: Range }>) => {
    const team = callingTeam(request);
    if (request.params.teamID !== team.id) {
      throw foreignTeamMetrics();
    }
    const { start, end } = request.query;
    const endMs = end === undefined ? clock.now() : end * 1000;
    const startMs = start === undefined ? endMs - KEPT_MS : start * 1000;
    if (startMs > endMs) throw invalidTimeRange();
    return usage.read(team.id, startMs, endMs);
  };

  app.get(
    '/teams/:teamID/metrics',
    {
      config: { access: access.teamRead },
      schema: {
        params,
        querystring: Type.Object(range),
        response: { 200: Type.Array(TeamMetric), '4xx': ErrorShape },
      },
    },
    async (request) =>
      (await read(request)).map(({ startMs, running, created }) => ({
        ...moment(startMs),
        concurrentSandboxes: running,
        sandboxStartRate: created / (BUCKET_MS / 1000),
      })),
  );

  app.get(
    '/teams/:teamID/metrics/max',
    {
      config: { access: access.teamRead },
      schema: {
        params,
        querystring: Type.Object({
          ...range,
          metric: Type.Union([Type.Literal('concurrent_sandboxes'), Type.Literal('sandbox_start_rate')]),
        }),
        response: { 200: MaxTeamMetric, '4xx': ErrorShape },
      },
    },
    async (request) => {
      const value = GREATEST[request.query.metric];
      const found = (await read(request)).map((bucket) => ({
        ...moment(bucket.startMs),
        value: value(bucket),
      }));
      const nothing = { ...moment(clock.now()), value: 0 };
      return found.reduce((most, each) => (each.value > most.value ? each : most), nothing);
    },
  );
}

function moment(timeMs: number) {
  return { timestamp: new Date(timeMs).toISOString(), timestampUnix: Math.trunc(timeMs / 1000) };
}
