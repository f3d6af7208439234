import { buildNotFound, foreignTemplate, invalidBuildId, isUuid } from '@islet/contracts';
import { type BuildDetail, findBuild, type Team } from '@islet/db';
import { Type } from 'typebox';
import { access, actingTeam, callingTeam } from '../../auth/guard.ts';
import type { ApiApp, ApiContext } from '../../context.ts';
import { RECIPE_BODY_BYTES, RECIPE_JSON_VALUES } from '../../http/caps.ts';
import { ErrorShape } from '../../sandboxes/shapes.ts';
import { readLog, readReasons, searchLog } from './logs.ts';
import { BuildLogEntry, BuildStatusShape, LogLevel, RecipeShape } from './shapes.ts';
import { startBuild } from './start.ts';

const params = Type.Object({ templateID: Type.String(), buildID: Type.String() });
const errors = { '4xx': ErrorShape, '5xx': ErrorShape };
/** Most entries of one answer. */
const PAGE = 100;
const limit = Type.Integer({ minimum: 0, maximum: PAGE, default: PAGE });

/** Starting builds, and seeing how they go. */
export function addBuildRoutes(app: ApiApp, context: ApiContext): void {
  const { authenticator } = context;

  app.post(
    '/v2/templates/:templateID/builds/:buildID',
    {
      config: { access: access.team, jsonValues: RECIPE_JSON_VALUES },
      bodyLimit: RECIPE_BODY_BYTES,
      schema: { params, body: RecipeShape, response: { 202: Type.Unsafe<undefined>({}), ...errors } },
    },
    async (request, reply) => {
      const team = callingTeam(request);
      const build = await ownBuild(context, team, request.params, 404);
      await startBuild(context, team, build, request.body, request.headers['user-agent']);
      return reply.code(202).send();
    },
  );

  app.get(
    '/templates/:templateID/builds/:buildID/status',
    {
      config: { access: access.teamOrTokenRead },
      schema: {
        params,
        querystring: Type.Object({
          logsOffset: Type.Integer({ minimum: 0, maximum: 2_147_483_647, default: 0 }),
          limit,
          level: Type.Optional(LogLevel),
        }),
        response: { 200: BuildStatusShape, ...errors },
      },
    },
    async (request) => {
      const { logsOffset: offset, limit, level } = request.query;
      // The state is read before the log: what an ended build has logged is all there then.
      const build = await ownBuild(context, await actingTeam(request, authenticator), request.params, 400);
      const logEntries = await readLog(context, build, { offset, limit, level });
      // Whoever hears that it is ready starts it next: word of another control plane may still be on its way.
      if (build.status === 'ready') context.templates.forget(build.templateId);
      return {
        templateID: build.templateId,
        buildID: build.id,
        status: build.status,
        logs: [],
        logEntries,
        ...(build.failure && {
          reason: {
            message: build.failure.message,
            ...(build.failure.step && { step: build.failure.step }),
            logEntries: await readReasons(context, build, PAGE),
          },
        }),
      };
    },
  );

  app.get(
    '/templates/:templateID/builds/:buildID/logs',
    {
      config: { access: access.teamOrTokenRead },
      schema: {
        params,
        querystring: Type.Object({
          cursor: Type.Optional(Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 })),
          limit,
          direction: Type.Union([Type.Literal('forward'), Type.Literal('backward')], { default: 'forward' }),
          level: Type.Optional(LogLevel),
          source: Type.Optional(Type.Union([Type.Literal('temporary'), Type.Literal('persistent')])),
        }),
        response: { 200: Type.Object({ logs: Type.Array(BuildLogEntry) }), ...errors },
      },
    },
    async (request) => {
      const { cursor: cursorMs, limit, direction, level } = request.query;
      const build = await ownBuild(context, await actingTeam(request, authenticator), request.params, 400);
      return { logs: await searchLog(context, build, { cursorMs, limit, direction, level }) };
    },
  );
}

/**
 * A build of the team, named with its template.
 * @param unknownStatus what the protocol answers if there is no such build
 */
async function ownBuild(
  { db }: ApiContext,
  team: Team,
  { templateID, buildID }: { templateID: string; buildID: string },
  unknownStatus: 400 | 404,
): Promise<BuildDetail> {
  if (!isUuid(buildID)) throw invalidBuildId();
  const build = await findBuild(db, buildID);
  if (!build || build.templateId !== templateID) {
    throw buildNotFound(unknownStatus, buildID);
  }
  if (build.teamId !== team.id) throw foreignTemplate();
  return build;
}
