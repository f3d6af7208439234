import { foreignTeamUsage, invalidUsageRange } from '@islet/contracts';
import { presentUsage, usageRange } from '@islet/db';
import { Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';

const Day = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}$',
  maxLength: 10,
  description: 'Such as 2026-12-01, UTC',
});

const amounts = {
  sandboxes: Type.Integer({ description: 'That were created' }),
  vcpuHours: Type.Number({ description: 'Of running sandboxes, by what they are given' }),
  memoryGiBHours: Type.Number({ description: 'Likewise' }),
  pausedGiBHours: Type.Number({ description: 'Of the states of paused sandboxes and of snapshots' }),
  templateGiBHours: Type.Number({ description: "Of the disks of templates' builds" }),
  volumeGiBHours: Type.Number({ description: 'Of volumes, by what they may hold' }),
};

const UsageShape = Type.Object({
  days: Type.Array(Type.Object({ day: Type.String({ description: 'UTC' }), ...amounts })),
  total: Type.Object(amounts),
});

/** What a team has used. */
export function addUsageRoutes(app: ApiApp, { metering, clock }: ApiContext): void {
  app.get(
    '/teams/:teamID/usage',
    {
      config: { access: access.teamRead },
      schema: {
        params: Type.Object({ teamID: Type.String() }),
        querystring: Type.Object({ start: Type.Optional(Day), end: Type.Optional(Day) }),
        response: { 200: UsageShape, '4xx': ErrorShape },
      },
    },
    async (request) => {
      const team = callingTeam(request);
      if (request.params.teamID !== team.id) throw foreignTeamUsage();
      const range = usageRange(request.query, clock.now());
      if (typeof range === 'string') throw invalidUsageRange(range);
      return presentUsage(await metering.read(team.id, range.from, range.to));
    },
  );
}
