import {
  orchestratorProto,
  type Sandbox,
  sandboxBusy,
  sandboxNotFound,
  type Transition,
} from '@islet/contracts';
import type { Team } from '@islet/db';
import { Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { NETWORK_BODY_BYTES } from '../http/caps.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import { checkEgressProxy } from './egress-proxy.ts';
import { moveEnd } from './lifetime.ts';
import { parseEgress } from './network-rules.ts';
import { readOwnSandbox } from './own.ts';
import { ErrorShape, NetworkUpdate, NoContent, SandboxParams, Seconds } from './shapes.ts';
import { withSteadySandbox } from './steady.ts';

const { SandboxState } = orchestratorProto;

/** What a refresh adds at least, and by default, in seconds. */
const MIN_REFRESH = 15;

/** Those in between that are not told as `isPaused` says. */
const TRANSITIONS: Partial<Record<orchestratorProto.SandboxState, Transition>> = {
  [SandboxState.SNAPSHOTTING]: 'snapshotted',
  [SandboxState.KILLING]: 'killed',
};

const noContent = { 204: NoContent, '4xx': ErrorShape };

/** Moving a sandbox's end, and its outgoing rules. */
export function addLifetimeRoutes(app: ApiApp, context: ApiContext): void {
  const withRunning = (text: string, team: Team, step: (sandbox: Sandbox) => Promise<void>) =>
    withSteadySandbox(
      context,
      () => readOwnSandbox(context, team, text),
      (sandbox) => {
        assertRuns(sandbox);
        return step(sandbox);
      },
    );

  app.post(
    '/sandboxes/:sandboxID/timeout',
    {
      config: { access: access.team },
      schema: { params: SandboxParams, body: Type.Object({ timeout: Seconds }), response: noContent },
    },
    async (request, reply) => {
      const { timeout } = request.body;
      await withRunning(request.params.sandboxID, callingTeam(request), (sandbox) =>
        moveEnd(context, sandbox, timeout, { onlyExtend: false }),
      );
      return reply.code(204).send();
    },
  );

  app.post(
    '/sandboxes/:sandboxID/refreshes',
    {
      config: { access: access.team },
      schema: {
        params: SandboxParams,
        body: Type.Object({ duration: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })) }),
        response: noContent,
      },
    },
    async (request, reply) => {
      const duration = Math.max(request.body.duration ?? MIN_REFRESH, MIN_REFRESH);
      await withRunning(request.params.sandboxID, callingTeam(request), (sandbox) =>
        moveEnd(context, sandbox, duration, { onlyExtend: true }),
      );
      return reply.code(204).send();
    },
  );

  app.put(
    '/sandboxes/:sandboxID/network',
    {
      config: { access: access.team },
      bodyLimit: NETWORK_BODY_BYTES,
      schema: { params: SandboxParams, body: NetworkUpdate, response: noContent },
    },
    async (request, reply) => {
      await withRunning(request.params.sandboxID, callingTeam(request), async (sandbox) => {
        const { sandboxId, envdVersion } = sandbox.config;
        const egress = parseEgress(request.body, envdVersion);
        await checkEgressProxy(egress.proxy);
        const node = context.nodes.of(sandbox);
        const answer = await node.call(NODE_CALL_TIMEOUT_MS, ({ sandboxes }, options) =>
          sandboxes.setSandboxEgress({ sandboxId, egress }, options),
        );
        await node.sandboxes.admit(answer.sandbox);
      });
      return reply.code(204).send();
    },
  );
}

/**
 * Makes sure that a team's sandbox runs.
 * @throws IsletError 404 if it is shown as paused, or on its way out; 409 if it is between other states
 */
function assertRuns({ config: { sandboxId }, state }: Sandbox): void {
  const transition = TRANSITIONS[state];
  if (transition) throw sandboxBusy(sandboxId, transition);
  if (state !== SandboxState.RUNNING) throw sandboxNotFound(sandboxId);
}
