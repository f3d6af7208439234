import {
  foreignAlias,
  foreignNamespace,
  foreignTemplate,
  invalidNextToken,
  isUuid,
  templateIdNotFound,
  templateNotFound,
} from '@islet/contracts';
import {
  findTemplate,
  findTemplateSummary,
  listBuilds,
  listTemplates,
  type Team,
  type TemplateRow,
} from '@islet/db';
import { Type } from 'typebox';
import { access, actingTeam, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { named } from '../http/caps.ts';
import { decodePageToken, type PageToken, pageQuery, sendPage } from '../http/paging.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';
import { presentBuild, presentTemplate, presentWithoutBuild } from './present.ts';
import { parseTemplateReference } from './reference.ts';
import { TemplateAlias, TemplateShape, TemplateWithBuilds } from './shapes.ts';

const errors = { '4xx': ErrorShape };

const tokenOf = (row: { createdAt: Date; id: string }): PageToken => ({
  timeMs: row.createdAt.getTime(),
  id: row.id,
});

function pageAfter(nextToken: string | undefined) {
  if (!nextToken) return undefined;
  const { timeMs, id } = decodePageToken(nextToken, 'desc');
  return { time: new Date(timeMs), id };
}

/** Where a row of builds continues: build ids are UUIDs, anything else would reach the database as a bad value. */
function buildsAfter(nextToken: string | undefined) {
  const after = pageAfter(nextToken);
  if (after && !isUuid(after.id)) throw invalidNextToken();
  return after;
}

/** Reading templates. */
export function addTemplateReadRoutes(app: ApiApp, context: ApiContext): void {
  const { db, authenticator } = context;

  app.get(
    '/templates',
    {
      config: { access: access.teamOrTokenRead },
      schema: {
        querystring: Type.Object({ teamID: Type.Optional(named()) }),
        response: { 200: Type.Array(TemplateShape), ...errors },
      },
    },
    async (request) => {
      const team = await actingTeam(request, authenticator, request.query.teamID);
      return (await listTemplates(db, team.id)).map(presentTemplate);
    },
  );

  app.get(
    '/v2/templates',
    {
      config: { access: access.teamOrTokenRead },
      schema: {
        querystring: Type.Object({ teamID: Type.Optional(named()), ...pageQuery }),
        response: { 200: Type.Array(TemplateShape), ...errors },
      },
    },
    async (request, reply) => {
      const { teamID, limit, nextToken } = request.query;
      const team = await actingTeam(request, authenticator, teamID);
      const rows = await listTemplates(db, team.id, { limit: limit + 1, after: pageAfter(nextToken) });
      return sendPage(reply, rows, { limit, order: 'desc', token: tokenOf, present: presentTemplate });
    },
  );

  app.get(
    '/templates/:templateID',
    {
      config: { access: access.teamRead },
      schema: {
        params: Type.Object({ templateID: Type.String() }),
        querystring: Type.Object(pageQuery),
        response: { 200: TemplateWithBuilds, ...errors },
      },
    },
    async (request, reply) => {
      const { templateID } = request.params;
      const { limit, nextToken } = request.query;
      const template = isPlainId(templateID) ? await findTemplateSummary(db, templateID) : undefined;
      if (!template) throw templateIdNotFound(templateID);
      if (template.teamId !== callingTeam(request).id) throw foreignTemplate();
      const rows = await listBuilds(db, template.id, { limit: limit + 1, after: buildsAfter(nextToken) });
      const builds = sendPage(reply, rows, { limit, order: 'desc', token: tokenOf, present: presentBuild });
      return { ...presentWithoutBuild(template), builds };
    },
  );

  app.get(
    '/templates/aliases/:alias',
    {
      config: { access: access.teamRead },
      schema: {
        params: Type.Object({ alias: Type.String() }),
        response: { 200: TemplateAlias, ...errors },
      },
    },
    async (request) => {
      const team = callingTeam(request);
      const reference = parseTemplateReference(request.params.alias, 'Invalid alias');
      assertOwnNamespace(reference.namespace, team);
      const template = await findTemplate(db, reference, team.slug);
      if (!template) throw templateNotFound(request.params.alias);
      if (template.teamId !== team.id) {
        throw foreignAlias();
      }
      return { templateID: template.id, public: template.public };
    },
  );
}

function isPlainId(text: string): boolean {
  return /^[a-z0-9]{1,64}$/.test(text);
}

/** @throws IsletError 400 if a reference names another team's namespace */
export function assertOwnNamespace(namespace: string | undefined, team: Team): void {
  if (namespace !== undefined && namespace !== team.slug) {
    throw foreignNamespace(namespace, team.slug);
  }
}

/**
 * The template that a reference means to a team, if it is the team's own; a tag in the reference is ignored.
 * @throws IsletError 404 if there is none, 403 if it is another team's
 */
export async function ownTemplate(context: ApiContext, team: Team, text: string): Promise<TemplateRow> {
  const template = await findTemplate(context.db, parseTemplateReference(text), team.slug);
  if (!template) throw templateNotFound(text);
  if (template.teamId !== team.id) throw foreignTemplate();
  return template;
}
