import { foreignTeamMetrics, invalidTimeRange } from '@islet/contracts';
import { TEAM_SAMPLE_MS } from '@islet/sinks';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { UnixSeconds } from '../metrics/routes.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';

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

/** As far back as a range goes if nobody says how far, ms. */
const USUAL_RANGE_MS = 7 * 24 * 3_600_000;

/** By the metric's name: what of a sample it is, and what one is of a second. */
const METRICS = {
  concurrent_sandboxes: { of: 'running', seconds: 1 },
  sandbox_start_rate: { of: 'created', seconds: TEAM_SAMPLE_MS / 1000 },
} as const;

/** How many sandboxes a team has running and starts. */
export function addTeamMetricsRoutes(app: ApiApp, { teams, usage, clock, logger }: ApiContext): void {
  /** What the caller may read, with what is so now. */
  const asked = async (request: FastifyRequest<{ Params: Static<typeof params>; Querystring: Range }>) => {
    const team = callingTeam(request);
    if (request.params.teamID !== team.id) {
      throw foreignTeamMetrics();
    }
    const { start, end } = request.query;
    const endMs = end === undefined ? clock.now() : end * 1000;
    const startMs = start === undefined ? endMs - USUAL_RANGE_MS : start * 1000;
    if (startMs > endMs) throw invalidTimeRange();
    await usage
      .sample(team.id)
      .catch((error: unknown) => logger.warn({ err: error }, 'cannot take down what a team has'));
    // What was taken down just now is in it.
    return { teamId: team.id, range: { startMs, endMs: end === undefined ? clock.now() : endMs } };
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
    async (request) => {
      const { teamId, range } = await asked(request);
      const buckets = (await teams?.range(teamId, range)) ?? [];
      return buckets.map(({ startMs, lengthMs, running, created }) => ({
        ...moment(startMs),
        concurrentSandboxes: running,
        sandboxStartRate: created / (lengthMs / 1000),
      }));
    },
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
      const { teamId, range } = await asked(request);
      const { of, seconds } = METRICS[request.query.metric];
      const peak = await teams?.peak(teamId, of, range);
      return peak
        ? { ...moment(peak.timeMs), value: peak.value / seconds }
        : { ...moment(clock.now()), value: 0 };
    },
  );
}

function moment(timeMs: number) {
  return { timestamp: new Date(timeMs).toISOString(), timestampUnix: Math.trunc(timeMs / 1000) };
}
