import { orchestratorProto, sandboxAlreadyRunning, sandboxBusy, sandboxNotFound } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { assertTimeoutAllowed } from './create.ts';
import { moveEnd } from './lifetime.ts';
import { isPaused } from './live.ts';
import { reachOwnSandbox, readOwnSandbox } from './own.ts';
import { presentSandbox } from './present.ts';
import { resumeSandbox, withSettledSandbox } from './resume.ts';
import { ErrorShape, NoContent, SandboxParams, SandboxShape, Seconds } from './shapes.ts';
import { steadySandbox, withSteadySandbox } from './steady.ts';

const { SandboxState } = orchestratorProto;

/** Writing a sandbox's memory takes as long as its disk needs. */
const PAUSE_TIMEOUT_MS = 65_000;

/** What a connect or resume lets a sandbox live, in seconds, if the client does not say. */
const DEFAULT_CONNECT_S = 300;
const DEFAULT_RESUME_S = 15;

const errors = { '4xx': ErrorShape, '5xx': ErrorShape };

/** Pausing sandboxes, and everything that starts them again. */
export function addPauseRoutes(app: ApiApp, context: ApiContext): void {
  app.post(
    '/sandboxes/:sandboxID/pause',
    {
      config: { access: access.team },
      schema: {
        params: SandboxParams,
        body: Type.Object({ memory: Type.Optional(Type.Boolean()) }),
        response: { 204: NoContent, ...errors },
      },
    },
    async (request, reply) => {
      const team = callingTeam(request);
      const filesOnly = request.body.memory === false;
      const read = () => readOwnSandbox(context, team, request.params.sandboxID);
      await withSteadySandbox(context, read, async (sandbox) => {
        const { config, state } = sandbox;
        const { sandboxId } = config;
        if (state === SandboxState.KILLING) throw sandboxNotFound(sandboxId);
        await using _place =
          state === SandboxState.RUNNING ? await context.paused.pausing(team, config) : undefined;
        const node = context.nodes.of(sandbox);
        const answer = await node.call(PAUSE_TIMEOUT_MS, ({ sandboxes }, options) =>
          sandboxes.pauseSandbox({ sandboxId, filesOnly }, options),
        );
        await node.sandboxes.admit(answer.sandbox);
      });
      return reply.code(204).send();
    },
  );

  const connect = async (
    text: string,
    team: Team,
    {
      timeout = DEFAULT_CONNECT_S,
      memory = true,
    }: { timeout?: number | undefined; memory?: boolean | undefined },
    reply: FastifyReply,
  ) => {
    assertTimeoutAllowed(timeout, team);
    return withSettledSandbox(
      async () => steadySandbox(context, await reachOwnSandbox(context, team, text)),
      async (sandbox) => {
        if (!isPaused(sandbox)) {
          await moveEnd(context, sandbox, timeout, { onlyExtend: true });
          return reply.code(200).send(presentSandbox(sandbox, context.domain));
        }
        const options = { timeoutMs: timeout * 1000, filesOnly: !memory };
        const resumed = await resumeSandbox(context, sandbox, team, options);
        return reply.code(201).send(presentSandbox(resumed, context.domain));
      },
    );
  };
  const connected = { 200: SandboxShape, 201: SandboxShape, ...errors };

  app.post(
    '/sandboxes/:sandboxID/connect',
    {
      config: { access: access.team },
      schema: {
        params: SandboxParams,
        body: Type.Object({ timeout: Seconds, memory: Type.Optional(Type.Boolean()) }),
        response: connected,
      },
    },
    (request, reply) => connect(request.params.sandboxID, callingTeam(request), request.body, reply),
  );

  app.post(
    '/v2/sandboxes/:sandboxID/connect',
    {
      config: { access: access.team },
      schema: {
        params: SandboxParams,
        body: Type.Object({ timeout: Type.Optional(Seconds), memory: Type.Optional(Type.Boolean()) }),
        response: connected,
      },
    },
    (request, reply) => connect(request.params.sandboxID, callingTeam(request), request.body, reply),
  );

  app.post(
    '/sandboxes/:sandboxID/resume',
    {
      config: { access: access.team },
      schema: {
        params: SandboxParams,
        body: Type.Object({
          timeout: Type.Optional(Seconds),
          autoPause: Type.Optional(Type.Boolean()),
          memory: Type.Optional(Type.Boolean()),
        }),
        response: { 201: SandboxShape, ...errors },
      },
    },
    async (request, reply) => {
      const team = callingTeam(request);
      const { timeout = DEFAULT_RESUME_S, autoPause, memory = true } = request.body;
      assertTimeoutAllowed(timeout, team);
      const reached = await reachOwnSandbox(context, team, request.params.sandboxID);
      const sandbox = await steadySandbox(context, reached);
      const { sandboxId } = sandbox.config;
      if (sandbox.state === SandboxState.KILLING) throw sandboxNotFound(sandboxId);
      if (sandbox.state === SandboxState.SNAPSHOTTING) throw sandboxBusy(sandboxId, 'snapshotted');
      if (!isPaused(sandbox)) throw sandboxAlreadyRunning(sandboxId);
      const options = { timeoutMs: timeout * 1000, autoPause, filesOnly: !memory };
      const resumed = await resumeSandbox(context, sandbox, team, options);
      return reply.code(201).send(presentSandbox(resumed, context.domain));
    },
  );
}
