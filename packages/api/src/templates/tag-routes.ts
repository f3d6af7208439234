import { taggedTemplateNotFound, tagInName, tagsMissing, undeletableTag } from '@islet/contracts';
import {
  assignTags,
  countTagsWith,
  DEFAULT_TAG,
  findTaggedBuild,
  listTags,
  removeTags,
  whileCounted,
} from '@islet/db';
import { Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { named } from '../http/caps.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';
import { assertTagsFit, parseNewTag } from './builds/request.ts';
import { assertOwnNamespace, ownTemplate } from './read-routes.ts';
import { parseTag, parseTemplateReference } from './reference.ts';
import { TemplateTag } from './shapes.ts';

const errors = { '4xx': ErrorShape };
const tagList = Type.Array(named(), { maxItems: 100 });

/** Tags: names for single builds of a template. */
export function addTagRoutes(app: ApiApp, context: ApiContext): void {
  const { db, templates } = context;

  app.get(
    '/templates/:templateID/tags',
    {
      config: { access: access.teamRead },
      schema: {
        params: Type.Object({ templateID: Type.String() }),
        response: { 200: Type.Array(TemplateTag), ...errors },
      },
    },
    async (request) => {
      const template = await ownTemplate(context, callingTeam(request), request.params.templateID);
      const tags = await listTags(db, template.id);
      return tags.map(({ tag, buildId, createdAt }) => ({
        tag,
        buildID: buildId,
        createdAt: createdAt.toISOString(),
      }));
    },
  );

  app.post(
    '/templates/tags',
    {
      config: { access: access.team },
      schema: {
        body: Type.Object({
          target: named({ description: '[namespace/]alias[:tag]: the build that is to be tagged' }),
          tags: tagList,
        }),
        response: {
          201: Type.Object({ tags: Type.Array(Type.String()), buildID: Type.String() }),
          ...errors,
        },
      },
    },
    async (request, reply) => {
      const team = callingTeam(request);
      const { target } = request.body;
      const reference = parseTemplateReference(target, 'Invalid target');
      assertOwnNamespace(reference.namespace, team);
      const tags = [...new Set(request.body.tags.map(parseNewTag))];
      if (tags.length === 0) throw tagsMissing();
      const template = await ownTemplate(context, team, target);
      const source = reference.tag ?? DEFAULT_TAG;
      const build = await findTaggedBuild(db, template.id, source);
      if (!build) throw taggedTemplateNotFound(target, source);
      await whileCounted(db, team.id, async (tx) => {
        assertTagsFit(await countTagsWith(tx, template.id, tags));
        await assignTags(tx, template.id, build.id, tags);
      });
      await templates.changed();
      return reply.code(201).send({ tags, buildID: build.id });
    },
  );

  app.delete(
    '/templates/tags',
    {
      config: { access: access.teamRead },
      schema: {
        body: Type.Object({ name: named(), tags: tagList }),
        response: { 204: NoContent, ...errors },
      },
    },
    async (request, reply) => {
      const team = callingTeam(request);
      const { name } = request.body;
      const reference = parseTemplateReference(name, 'Invalid name');
      if (name.includes(':')) throw tagInName();
      assertOwnNamespace(reference.namespace, team);
      const tags = request.body.tags.map((tag) => parseTag(tag));
      if (tags.length === 0) throw tagsMissing();
      if (tags.includes(DEFAULT_TAG)) throw undeletableTag(DEFAULT_TAG);
      const template = await ownTemplate(context, team, name);
      await removeTags(db, template.id, tags);
      await templates.changed();
      return reply.code(204).send();
    },
  );
}
