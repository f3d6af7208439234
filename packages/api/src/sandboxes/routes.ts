import { IsletError, orchestratorProto, type Sandbox, sandboxNotFound } from '@islet/contracts';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { CREATE_BODY_BYTES } from '../http/caps.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import { createSandbox } from './create.ts';
import { isPaused } from './live.ts';
import { withinReach } from './move.ts';
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
import { steadySandbox } from './steady.ts';

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

/**
 * Ends a sandbox and forgets it. One that ended by itself meanwhile counts as ended by this call.
 */
export async function killSandbox(
  context: ApiContext,
  sandbox: Sandbox,
  reason: orchestratorProto.KillReason,
): Promise<void> {
  const { sandboxId } = sandbox.config;
  const steady = await steadySandbox(context, sandbox);
  const reached = isPaused(steady) ? await withinReach(context, steady) : steady;
  const node = context.nodes.of(reached);
  try {
    await node.call(NODE_CALL_TIMEOUT_MS, ({ sandboxes }, options) =>
      sandboxes.killSandbox({ sandboxId, reason }, options),
    );
  } catch (error) {
    if (!(error instanceof IsletError) || error.status !== 404) throw error;
  }
  await node.sandboxes.ended(sandboxId, steady.executionId);
  // It was moved under the call.
  const now = context.sandboxes.get(sandboxId);
  if (now && now.nodeId !== node.id) await killSandbox(context, now, reason);
}
