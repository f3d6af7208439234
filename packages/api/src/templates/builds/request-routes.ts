import { dockerBuildsNotOffered, templateIdNotFound } from '@islet/contracts';
import { findTemplateSummary } from '@islet/db';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { access, actingTeam, callingTeam } from '../../auth/guard.ts';
import type { ApiApp, ApiContext } from '../../context.ts';
import { named } from '../../http/caps.ts';
import { ErrorShape } from '../../sandboxes/shapes.ts';
import { presentTemplate, publicNames } from '../present.ts';
import { TemplateLegacy } from '../shapes.ts';
import { acceptBuild } from './request.ts';

/** More than a build may have: that has a message of its own. */
const MOST_TAGS = 1000;

const errors = { '4xx': ErrorShape };
const int32 = (description: string) =>
  Type.Optional(Type.Integer({ description, minimum: -2_147_483_648, maximum: 2_147_483_647 }));

const sizes = {
  cpuCount: int32('1, or an even number; 2 where absent'),
  memoryMB: int32('MiB, even; 1024 where absent'),
};

const RequestedBuild = Type.Object({
  templateID: Type.String(),
  buildID: Type.String(),
  public: Type.Boolean(),
  aliases: Type.Array(Type.String(), { deprecated: true }),
  names: Type.Array(Type.String()),
  tags: Type.Array(Type.String()),
});

/** Asking for builds: each makes the template, or a further build of it. */
export function addBuildRequestRoutes(app: ApiApp, context: ApiContext): void {
  app.post(
    '/v3/templates',
    {
      config: { access: access.team },
      schema: {
        body: Type.Object({
          name: Type.Optional(named({ description: '[namespace/]alias[:tag]' })),
          alias: Type.Optional(named({ deprecated: true })),
          tags: Type.Optional(Type.Array(named(), { maxItems: MOST_TAGS })),
          teamID: Type.Optional(named({ deprecated: true })),
          ...sizes,
          minFreeDiskMb: int32('Free disk after the last step, MiB'),
        }),
        response: { 202: RequestedBuild, ...errors },
      },
    },
    async (request, reply) => {
      const { name, alias, tags, cpuCount, memoryMB, minFreeDiskMb } = request.body;
      const build = await acceptBuild(context, callingTeam(request), {
        name: name ?? alias,
        tags,
        cpuCount,
        memoryMb: memoryMB,
        freeDiskMb: minFreeDiskMb,
      });
      return reply.code(202).send({
        templateID: build.templateId,
        buildID: build.buildId,
        public: build.public,
        aliases: build.aliases.map(({ alias }) => alias),
        names: publicNames(build.aliases),
        tags: build.tags,
      });
    },
  );

  app.post(
    '/v2/templates',
    {
      config: { access: access.team },
      schema: {
        body: Type.Object({ alias: named(), teamID: Type.Optional(named()), ...sizes }),
        response: { 202: TemplateLegacy, ...errors },
      },
    },
    async (request, reply) => {
      const { alias, teamID, cpuCount, memoryMB } = request.body;
      const team = await actingTeam(request, context.authenticator, teamID);
      const build = await acceptBuild(context, team, { name: alias, cpuCount, memoryMb: memoryMB });
      const template = await findTemplateSummary(context.db, build.templateId);
      if (!template) throw templateIdNotFound(build.templateId);
      const { names: _names, buildStatus: _status, ...legacy } = presentTemplate(template);
      const { buildId: buildID, cpuCount: vcpu, memoryMb } = build;
      return reply.code(202).send({ ...legacy, buildID, cpuCount: vcpu, memoryMB: memoryMb });
    },
  );

  const refuse = async (_request: FastifyRequest): Promise<never> => {
    throw dockerBuildsNotOffered();
  };
  for (const path of ['/templates', '/templates/:templateID', '/templates/:templateID/builds/:buildID']) {
    const schema = { summary: 'Builds by docker push: answered with what to use instead', response: errors };
    app.post(path, { config: { access: access.user }, schema }, refuse);
  }
}
