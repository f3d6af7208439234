import { type EgressVerdict, parseSandboxId } from '@islet/contracts';
import { suggest } from '@islet/egress';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { catchUp } from '../sandboxes/past.ts';
import { ErrorShape, SandboxParams } from '../sandboxes/shapes.ts';
import { byDestination, type DestinationVerdict, reasonOf } from './destinations.ts';

/** Of the newest verdicts, looked at for one answer: some hours of a busy sandbox. */
const MOST_READ = 10_000;

const Decision = Type.Union([Type.Literal('allowed'), Type.Literal('denied')]);

const Verdict = Type.Object({
  decision: Decision,
  reason: Type.String({ description: 'Why, for people' }),
  matchType: Type.String({ description: 'For programs; not a closed set' }),
  rule: Type.Optional(Type.String({ description: 'The entry of the rules that decided' })),
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
  name: Type.Optional(Type.String({ description: 'That was asked for: server name of TLS, or Host' })),
  address: Type.String(),
  port: Type.Integer(),
  connections: Type.Integer(),
  firstSeen: Type.String({ format: 'date-time' }),
  lastSeen: Type.String({ format: 'date-time' }),
});

const Suggestion = Type.Object({
  allowOut: Type.Array(Type.String()),
  denyOut: Type.Array(Type.String()),
  connections: Type.Integer({ description: 'That the rules come from' }),
});

/** What sandboxes reached and what they were denied, of the last week. */
export function addVerdictRoutes(app: ApiApp, context: ApiContext): void {
  const read = async (teamId: string, text: string): Promise<EgressVerdict[]> => {
    const sandboxId = parseSandboxId(text);
    await catchUp(context, teamId, sandboxId);
    return (await context.verdicts?.query({ teamId, sandboxId, offset: 0, limit: MOST_READ })) ?? [];
  };

  app.get(
    '/sandboxes/:sandboxID/network/verdicts',
    {
      config: { access: access.teamRead },
      schema: {
        params: SandboxParams,
        querystring: Type.Object({
          decision: Type.Optional(Decision),
          offset: Type.Integer({ minimum: 0, maximum: MOST_READ, default: 0 }),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
        }),
        response: { 200: Type.Object({ verdicts: Type.Array(Verdict) }), '4xx': ErrorShape },
      },
    },
    async (request) => {
      const { decision, offset, limit } = request.query;
      const all = byDestination(await read(callingTeam(request).id, request.params.sandboxID));
      const asked = all.filter((each) => decision === undefined || each.decision === decision);
      return { verdicts: asked.slice(offset, offset + limit).map(present) };
    },
  );

  app.get(
    '/sandboxes/:sandboxID/network/suggestions',
    {
      config: { access: access.teamRead },
      schema: { params: SandboxParams, response: { 200: Suggestion, '4xx': ErrorShape } },
    },
    async (request) => {
      const all = await read(callingTeam(request).id, request.params.sandboxID);
      const allowed = all.filter(({ decision }) => decision === 'allowed');
      const connections = allowed.reduce((sum, each) => sum + each.connections, 0);
      return { ...suggest(allowed), connections };
    },
  );
}

function present(verdict: DestinationVerdict): Static<typeof Verdict> {
  const { decision, matchType, rule, protocol, serverName, connections } = verdict;
  return {
    ...{ decision, reason: reasonOf(verdict), matchType, protocol, connections },
    ...(rule !== undefined && { rule }),
    ...(serverName !== undefined && { name: serverName }),
    ...{ address: verdict.destinationIp, port: verdict.destinationPort },
    firstSeen: new Date(verdict.firstSeenMs).toISOString(),
    lastSeen: new Date(verdict.lastSeenMs).toISOString(),
  };
}
