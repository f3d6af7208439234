import { aliasTaken, templateInUse } from '@islet/contracts';
import {
  claimGlobalAlias,
  deleteTemplate,
  listAliases,
  type PlacedBuild,
  setTemplatePublic,
} from '@islet/db';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { access, actingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import { isPaused } from '../sandboxes/live.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';
import { publicNames } from './present.ts';
import { ownTemplate } from './read-routes.ts';
import { TemplateUpdate } from './shapes.ts';

const params = Type.Object({ templateID: Type.String() });
const errors = { '4xx': ErrorShape };

/** Publishing and deleting templates. */
export function addTemplateWriteRoutes(app: ApiApp, context: ApiContext): void {
  const { authenticator, builds, db, templates } = context;

  const own = async (request: FastifyRequest<{ Params: { templateID: string } }>) =>
    ownTemplate(context, await actingTeam(request, authenticator), request.params.templateID);

  app.patch(
    '/v2/templates/:templateID',
    {
      config: { access: access.teamOrToken },
      schema: {
        params,
        body: TemplateUpdate,
        response: { 200: Type.Object({ names: Type.Array(Type.String()) }), ...errors },
      },
    },
    async (request) => {
      const template = await own(request);
      if (request.body.public !== undefined) {
        await setTemplatePublic(db, template.id, request.body.public);
        await templates.changed();
      }
      return { names: publicNames(await listAliases(db, template.id)) };
    },
  );

  app.patch(
    '/templates/:templateID',
    {
      config: { access: access.teamOrToken },
      schema: { params, body: TemplateUpdate, response: { 200: Type.Null(), ...errors } },
    },
    async (request, reply) => {
      const template = await own(request);
      if (request.body.public) await claimOwnAliases(context, template.id);
      if (request.body.public !== undefined) await setTemplatePublic(db, template.id, request.body.public);
      await templates.changed();
      return reply.send(null);
    },
  );

  app.delete(
    '/templates/:templateID',
    {
      config: { access: access.teamOrTokenRead },
      schema: { params, response: { 204: NoContent, ...errors } },
    },
    async (request, reply) => {
      const template = await own(request);
      await assertUnused(context, template.id);
      const deleted = await deleteTemplate(db, template.id);
      await templates.changed();
      await freeSnapshots(context, deleted);
      void builds.discard(deleted);
      return reply.code(204).send();
    },
  );
}

/**
 * Frees deleted builds on the nodes that start them; of a sandbox's snapshot that is all there is. What fails is collected
 * later: see `islet snapshots gc`.
 */
async function freeSnapshots({ nodes, logger }: ApiContext, builds: readonly PlacedBuild[]): Promise<void> {
  for (const { id: buildId, nodeId } of builds) {
    const freed = await Promise.allSettled(
      nodes
        .holdersOf(buildId, nodeId)
        .map((node) =>
          node.call(NODE_CALL_TIMEOUT_MS, ({ sandboxes }, options) =>
            sandboxes.deleteBuild({ buildId }, options),
          ),
        ),
    );
    for (const each of freed) {
      if (each.status === 'rejected') {
        logger.warn({ err: each.reason, buildId }, 'a deleted build was not freed');
      }
    }
    nodes.forgetBuild(buildId);
  }
}

/** Publishing the old way gives a template its bare names too. */
async function claimOwnAliases(context: ApiContext, templateId: string): Promise<void> {
  for (const { alias } of await listAliases(context.db, templateId)) {
    if ((await claimGlobalAlias(context.db, templateId, alias)) === 'taken') {
      throw aliasTaken(alias);
    }
  }
}

/** @throws IsletError 400 where sandboxes of the template exist, whichever team's */
async function assertUnused(context: ApiContext, templateId: string): Promise<void> {
  const sandbox = await context.current.anyOf(templateId);
  if (!sandbox) return;
  const state = isPaused(sandbox) ? 'paused' : 'running';
  throw templateInUse(templateId, state);
}
