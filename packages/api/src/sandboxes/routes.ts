import { orchestratorProto, sandboxNotFound } from '@islet/contracts';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { CREATE_BODY_BYTES } from '../http/caps.ts';
import { createSandbox } from './create.ts';
import { killSandbox } from './kill.ts';
import { reachOwnSandbox, readOwnSandbox } from './own.ts';
import { presentDetail, presentSandbox, publicState } from './present.ts';
import {
  ErrorShape,
  NewSandbox,
  NewSandboxV2,
  NoContent,
  SandboxDetail,
  SandboxParams,
  SandboxShape,
} from './shapes.ts';

const created = { 201: SandboxShape, '4xx': ErrorShape, '5xx': ErrorShape };

/** Creating, reading and ending sandboxes. */
export function addSandboxRoutes(app: ApiApp, context: ApiContext): void {
  app.post(
    '/sandboxes',
    {
      config: { access: access.team },
      bodyLimit: CREATE_BODY_BYTES,
      schema: { body: NewSandbox, response: created },
    },
    async (request, reply) => {
      const secure = request.body.secure ?? context.secureByDefault ?? false;
      const sandbox = await createSandbox(context, callingTeam(request), { ...request.body, secure });
      return reply.code(201).send(presentSandbox(sandbox, context.domain));
    },
  );

  app.post(
    '/v2/sandboxes',
    {
      config: { access: access.team },
      bodyLimit: CREATE_BODY_BYTES,
      schema: { body: NewSandboxV2, response: created },
    },
    async (request, reply) => {
      // A sandbox made here is always secured.
      const body = { ...request.body, secure: true };
      const sandbox = await createSandbox(context, callingTeam(request), body);
      return reply.code(201).send(presentSandbox(sandbox, context.domain));
    },
  );

  app.get(
    '/sandboxes/:sandboxID',
    {
      config: { access: access.teamRead },
      schema: { params: SandboxParams, response: { 200: SandboxDetail, '4xx': ErrorShape } },
    },
    async (request) => {
      const sandbox = await readOwnSandbox(context, callingTeam(request), request.params.sandboxID);
      if (publicState(sandbox) === undefined) throw sandboxNotFound(sandbox.config.sandboxId);
      return presentDetail(sandbox, context.domain);
    },
  );

  app.delete(
    '/sandboxes/:sandboxID',
    {
      config: { access: access.teamRead },
      schema: { params: SandboxParams, response: { 204: NoContent, '4xx': ErrorShape } },
    },
    async (request, reply) => {
      const sandbox = await reachOwnSandbox(context, callingTeam(request), request.params.sandboxID);
      await killSandbox(context, sandbox, orchestratorProto.KillReason.REQUEST);
      return reply.code(204).send();
    },
  );
}
