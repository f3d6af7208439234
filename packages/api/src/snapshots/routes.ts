import { invalidNextToken, toErrorBody } from '@islet/contracts';
import { listSnapshots, type SnapshotRow, type Team } from '@islet/db';
import { Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { named } from '../http/caps.ts';
import { decodePageToken, pageQuery, sendPage } from '../http/paging.ts';
import { readOwnSandbox } from '../sandboxes/own.ts';
import { presentSandbox } from '../sandboxes/present.ts';
import { ErrorShape, SandboxParams, SandboxShape, Seconds } from '../sandboxes/shapes.ts';
import { withSteadySandbox } from '../sandboxes/steady.ts';
import { publicNames } from '../templates/present.ts';
import { parseTemplateReference } from '../templates/reference.ts';
import { forkSandbox } from './fork.ts';
import { takeSnapshot } from './snapshot.ts';

const DEFAULT_FORK_S = 15;
const MOST_FORKS = 100;

const SnapshotShape = Type.Object({ snapshotID: Type.String(), names: Type.Array(Type.String()) });
const ForkShape = Type.Object({
  sandbox: Type.Optional(SandboxShape),
  error: Type.Optional(ErrorShape),
});

const errors = { '4xx': ErrorShape, '5xx': ErrorShape };

/** Snapshots of running sandboxes, and sandboxes that go on from where another one is. */
export function addSnapshotRoutes(app: ApiApp, context: ApiContext): void {
  app.post(
    '/sandboxes/:sandboxID/snapshots',
    {
      config: { access: access.team },
      schema: {
        params: SandboxParams,
        body: Type.Object({ name: Type.Optional(named()) }),
        response: { 201: SnapshotShape, ...errors },
      },
    },
    async (request, reply) => {
      const team = callingTeam(request);
      const read = () => readOwnSandbox(context, team, request.params.sandboxID);
      const taken = await withSteadySandbox(context, read, (sandbox) =>
        takeSnapshot(context, team, sandbox, request.body.name),
      );
      return reply.code(201).send(taken);
    },
  );

  app.post(
    '/sandboxes/:sandboxID/fork',
    {
      config: { access: access.team },
      schema: {
        params: SandboxParams,
        body: Type.Object({
          timeout: Type.Optional(Seconds),
          count: Type.Optional(Type.Integer({ minimum: 1, maximum: MOST_FORKS })),
        }),
        response: { 201: Type.Array(ForkShape), ...errors },
      },
    },
    async (request, reply) => {
      const team = callingTeam(request);
      const { count = 1, timeout = DEFAULT_FORK_S } = request.body;
      const read = () => readOwnSandbox(context, team, request.params.sandboxID);
      const results = await withSteadySandbox(context, read, (source) =>
        forkSandbox(context, team, source, { count, timeout }),
      );
      return reply
        .code(201)
        .send(
          results.map((result) =>
            'sandbox' in result
              ? { sandbox: presentSandbox(result.sandbox, context.domain) }
              : { error: toErrorBody(result.error) },
          ),
        );
    },
  );

  app.get(
    '/snapshots',
    {
      config: { access: access.teamRead },
      schema: {
        querystring: Type.Object({
          sandboxID: Type.Optional(named()),
          name: Type.Optional(named()),
          ...pageQuery,
        }),
        response: { 200: Type.Array(SnapshotShape), ...errors },
      },
    },
    async (request, reply) => {
      const { sandboxID, name, limit, nextToken } = request.query;
      const team = callingTeam(request);
      const named = name ? await findNamed(context, team, name) : {};
      if (!named) return [];
      const filter = { ...named, sandboxId: sandboxID || undefined };
      const rows = await listSnapshots(context.db, team.id, filter, {
        limit: limit + 1,
        after: rowsAfter(nextToken),
      });
      const token = ({ createdAt, id }: SnapshotRow) => ({ timeMs: createdAt.getTime(), id });
      return sendPage(reply, rows, { limit, order: 'desc', token, present });
    },
  );
}

/** The filter that a name stands for; undefined if it means nothing. A tag counts only if it is written. */
async function findNamed(context: ApiContext, team: Team, name: string) {
  const reference = parseTemplateReference(name, 'Invalid snapshot name');
  const templateId = await context.templates.findId(team, reference);
  if (templateId === undefined) return undefined;
  const tag = name.includes(':') ? name.trim().toLowerCase().split(':')[1] : undefined;
  return { templateId, tag };
}

function rowsAfter(nextToken: string | undefined) {
  if (!nextToken) return undefined;
  const { timeMs, id } = decodePageToken(nextToken, 'desc');
  if (!/^\d{1,18}$/.test(id)) throw invalidNextToken();
  return { time: new Date(timeMs), id };
}

function present({ templateId, tag, aliases }: SnapshotRow) {
  const names = publicNames(aliases);
  return { snapshotID: `${names[0] ?? templateId}:${tag}`, names };
}
