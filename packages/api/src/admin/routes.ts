import { invalidTeamId, isUuid, orchestratorProto, teamNotFound } from '@islet/contracts';
import { findTeam, listUnfinishedBuilds, type Team } from '@islet/db';
import { Type } from 'typebox';
import { access, assertStanding } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { addApiKey, parseKeyId, presentCreatedKey, revokeKey } from '../keys/routes.ts';
import { CreatedApiKeyShape, NamedRequest } from '../keys/shapes.ts';
import { killSandbox } from '../sandboxes/kill.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';

const errors = { '4xx': ErrorShape };
const teamParams = Type.Object({ teamID: Type.String() });

/** What only the operator may do. */
export function addAdminRoutes(app: ApiApp, context: ApiContext): void {
  app.post(
    '/admin/teams/:teamID/sandboxes/kill',
    {
      config: { access: access.admin },
      schema: {
        params: teamParams,
        response: {
          200: Type.Object({ killedCount: Type.Integer(), failedCount: Type.Integer() }),
          ...errors,
        },
      },
    },
    async (request) => {
      const team = await adminTeam(context, request.params.teamID);
      const sandboxes = await context.current.ofTeam(team.id);
      const kills = await Promise.allSettled(
        sandboxes.map((sandbox) => killSandbox(context, sandbox, orchestratorProto.KillReason.ADMIN)),
      );
      const failures = kills.filter((kill) => kill.status === 'rejected');
      for (const { reason } of failures) context.logger.error({ err: reason, teamId: team.id }, 'admin kill');
      return { killedCount: kills.length - failures.length, failedCount: failures.length };
    },
  );

  app.post(
    '/admin/teams/:teamID/builds/cancel',
    {
      config: { access: access.admin },
      schema: {
        params: teamParams,
        response: {
          200: Type.Object({ cancelledCount: Type.Integer(), failedCount: Type.Integer() }),
          ...errors,
        },
      },
    },
    async (request) => {
      const team = await adminTeam(context, request.params.teamID);
      const unfinished = await listUnfinishedBuilds(context.db, team.id);
      const cancels = await Promise.allSettled(
        unfinished.map((build) => context.builds.cancel(build, 'the operator cancelled the build')),
      );
      const failures = cancels.filter((cancel) => cancel.status === 'rejected');
      for (const { reason } of failures) {
        context.logger.error({ err: reason, teamId: team.id }, 'admin cancel of a build');
      }
      return { cancelledCount: cancels.length - failures.length, failedCount: failures.length };
    },
  );

  app.get(
    '/admin/sandboxes/running-counts',
    {
      config: { access: access.admin },
      schema: { response: { 200: Type.Record(Type.String(), Type.Integer()), ...errors } },
    },
    async () => Object.fromEntries(await context.reservations.counts()),
  );

  app.post(
    '/admin/teams/:teamID/api-keys',
    {
      config: { access: access.admin },
      schema: {
        params: teamParams,
        body: NamedRequest,
        response: { 201: CreatedApiKeyShape, ...errors },
      },
    },
    async (request, reply) => {
      const team = await adminTeam(context, request.params.teamID);
      assertStanding(team, access.admin);
      const key = await addApiKey(context.db, team, { name: request.body.name, createdBy: null });
      return reply.code(201).send(presentCreatedKey(key));
    },
  );

  app.delete(
    '/admin/teams/:teamID/api-keys/:apiKeyID',
    {
      config: { access: access.admin },
      schema: {
        params: Type.Object({ teamID: Type.String(), apiKeyID: Type.String() }),
        response: { 204: NoContent, ...errors },
      },
    },
    async (request, reply) => {
      const id = parseKeyId(request.params.apiKeyID);
      const team = await adminTeam(context, request.params.teamID);
      await revokeKey(context, { id, teamId: team.id });
      return reply.code(204).send();
    },
  );
}

async function adminTeam({ db }: ApiContext, teamId: string): Promise<Team> {
  if (!isUuid(teamId)) throw invalidTeamId(teamId);
  const team = await findTeam(db, teamId);
  if (!team) throw teamNotFound();
  return team;
}
