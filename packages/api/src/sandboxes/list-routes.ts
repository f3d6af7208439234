import { type Sandbox, templateFilterWithTag } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { FastifyReply } from 'fastify';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { HEAD_BYTES, named } from '../http/caps.ts';
import { decodePageToken, type PageToken, pageQuery, type SortOrder, sendPage } from '../http/paging.ts';
import { inTurns, sendRows } from '../http/rows.ts';
import { parseTemplateReference } from '../templates/reference.ts';
import { compareNewestFirst, positionOf } from './live.ts';
import { matchesMetadata, parseMetadataFilter } from './metadata-filter.ts';
import { presentListed, publicState, startedAtMs } from './present.ts';
import { ErrorShape, ListedSandbox } from './shapes.ts';

const Metadata = Type.Optional(
  Type.String({ maxLength: HEAD_BYTES, description: 'A query string; each key and value encoded twice' }),
);

const ListQuery = Type.Object({
  metadata: Metadata,
  state: Type.String({
    default: 'running,paused',
    maxLength: 64,
    pattern: '^(running|paused)(,(running|paused))*$',
    description: 'Comma-separated',
  }),
  order: Type.Union([Type.Literal('asc'), Type.Literal('desc')], { default: 'desc' }),
  startedAfter: Type.Optional(Type.String({ format: 'date-time', maxLength: 64 })),
  template: Type.Optional(named()),
  ...pageQuery,
});

/** The two lists of sandboxes. */
export function addSandboxListRoutes(app: ApiApp, context: ApiContext): void {
  app.get(
    '/sandboxes',
    {
      config: { access: access.teamRead },
      schema: {
        querystring: Type.Object({ metadata: Metadata }),
        response: { 200: Type.Array(ListedSandbox), '4xx': ErrorShape },
      },
    },
    async (request, reply) => {
      const matches = filterBy({ metadata: request.query.metadata, states: new Set(['running'] as const) });
      return sendRows(reply, await context.current.ofTeam(callingTeam(request).id), (sandbox) =>
        matches(sandbox) ? presentListed(sandbox) : undefined,
      );
    },
  );

  app.get(
    '/v2/sandboxes',
    {
      config: { access: access.teamRead },
      schema: { querystring: ListQuery, response: { 200: Type.Array(ListedSandbox), '4xx': ErrorShape } },
    },
    async (request, reply) => listPage(context, callingTeam(request), request.query, reply),
  );
}

async function listPage(
  context: ApiContext,
  team: Team,
  query: Static<typeof ListQuery>,
  reply: FastifyReply,
) {
  const { order, limit, nextToken } = query;
  const states = new Set(query.state.split(',')) as ReadonlySet<State>;
  const ask = { states, limit, order, after: nextToken ? decodePageToken(nextToken, order) : undefined };
  const { rows, running } = isFiltered(query)
    ? await filteredPage(context, team, query, ask)
    : await plainPage(context, team, ask);
  if (states.has('running')) reply.header('X-Total-Running', String(running));
  return sendPage(reply, rows, { limit, order, token: tokenOf, present: presentListed });
}

type State = 'running' | 'paused';

interface PageAsk {
  states: ReadonlySet<State>;
  limit: number;
  order: SortOrder;
  after: PageToken | undefined;
}

/** One row more than the page has, which says that there is another page. */
interface Page {
  rows: Sandbox[];
  /** Of all pages. */
  running: number;
}

function isFiltered({ metadata, startedAfter, template }: Static<typeof ListQuery>): boolean {
  return metadata !== undefined || startedAfter !== undefined || template !== undefined;
}

/** Looks at the page alone, however many there are. */
async function plainPage(context: ApiContext, { id }: Team, ask: PageAsk): Promise<Page> {
  const { states, order, limit, after } = ask;
  const { sandboxes, running } = await context.current.pageOfTeam(id, {
    ...{ states: [...states], order, count: limit + 1 },
    after: after && { startedAtMs: after.timeMs, sandboxId: after.id },
  });
  return { rows: sandboxes, running };
}

/** Looks at all of a team's in one pass. */
async function filteredPage(
  context: ApiContext,
  team: Team,
  query: Static<typeof ListQuery>,
  { states, limit, order, after }: PageAsk,
): Promise<Page> {
  const { metadata, startedAfter, template } = query;
  const matches = filterBy({
    ...{ metadata, states },
    startedAfterMs: startedAfter === undefined ? undefined : Date.parse(startedAfter),
    templateId: template === undefined ? undefined : await templateFilter(context, team, template),
  });
  const sandboxes = await context.current.ofTeam(team.id);
  if (order === 'asc') sandboxes.reverse();
  const page: Page = { rows: [], running: 0 };
  for await (const some of inTurns(sandboxes)) {
    for (const sandbox of some) {
      if (!matches(sandbox)) continue;
      if (publicState(sandbox) === 'running') page.running++;
      if (page.rows.length <= limit && (!after || isBehind(sandbox, after, order))) page.rows.push(sandbox);
    }
  }
  return page;
}

/** The id that a template filter means; null if it means nothing, so that nothing matches. */
async function templateFilter(context: ApiContext, team: Team, text: string): Promise<string | null> {
  if (text.includes(':')) throw templateFilterWithTag(text);
  return (await context.templates.findId(team, parseTemplateReference(text))) ?? null;
}

interface Filter {
  metadata: string | undefined;
  states: ReadonlySet<State>;
  startedAfterMs?: number | undefined;
  templateId?: string | null | undefined;
}

function filterBy({ metadata, states, startedAfterMs, templateId }: Filter) {
  const pairs = metadata === undefined ? [] : parseMetadataFilter(metadata);
  return (sandbox: Sandbox): boolean => {
    const state = publicState(sandbox);
    if (state === undefined || !states.has(state)) return false;
    if (startedAfterMs !== undefined && startedAtMs(sandbox) < startedAfterMs) return false;
    if (templateId !== undefined && sandbox.config.templateId !== templateId) return false;
    return matchesMetadata(sandbox.config.metadata, pairs);
  };
}

function tokenOf(sandbox: Sandbox): PageToken {
  return { timeMs: startedAtMs(sandbox), id: sandbox.config.sandboxId };
}

/** True if a sandbox comes after the last row of the page before. */
function isBehind(sandbox: Sandbox, after: PageToken, order: SortOrder): boolean {
  const last = { startedAtMs: after.timeMs, sandboxId: after.id };
  const comparison = compareNewestFirst(positionOf(sandbox), last);
  return order === 'desc' ? comparison > 0 : comparison < 0;
}
