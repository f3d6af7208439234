import { otherTeamThanKey, teamBanned, teamBlocked } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Authenticator, Caller, Scheme } from './authenticator.ts';
import { countRequest, type RateLimit } from './rate-limit.ts';

/** What a route asks of its callers. */
export interface RouteAccess {
  schemes: readonly Scheme[];
  /** Open to teams that are blocked: reading and cleaning up. */
  blockedMay?: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller;
  }
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
}

const TEAM: readonly Scheme[] = ['apiKey', 'jwt', 'adminTeam'];

/** The route accesses by their names in the protocol. */
export const access = {
  open: { schemes: [] },
  team: { schemes: TEAM },
  /** For a team; blocked ones may call it too. */
  teamRead: { schemes: TEAM, blockedMay: true },
  teamOrToken: { schemes: ['apiKey', 'accessToken', 'jwt', 'adminTeam'] },
  teamOrTokenRead: { schemes: ['apiKey', 'accessToken', 'jwt', 'adminTeam'], blockedMay: true },
  user: { schemes: ['accessToken', 'jwt'] },
  /**
   * Managing a team's keys. The protocol knows it for tokens of an identity provider only; an installation without
   * one has no other way than the access token, so that is accepted beside it.
   */
  keys: { schemes: ['accessToken', 'jwt', 'adminTeam'] },
  keysRead: { schemes: ['accessToken', 'jwt', 'adminTeam'], blockedMay: true },
  admin: { schemes: ['admin'] },
} as const satisfies Record<string, RouteAccess>;

/** @throws IsletError 403 if the team is banned, or blocked and the route is none for blocked teams. */
export function assertStanding(team: Team, routeAccess: RouteAccess): void {
  if (team.isBanned) throw teamBanned();
  if (team.isBlocked && !routeAccess.blockedMay) {
    throw teamBlocked(team.blockedReason);
  }
}

/**
 * Refuses routes that do not say who may call them: forgetting it would open them to everybody. Call it before any route
 * is added.
 */
export function requireDeclaredAccess(app: FastifyInstance): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access) return;
    throw new TypeError(
      `the route ${[method].flat().join(', ')} ${url} does not say who may call it: give it config.access`,
    );
  });
}

/** Authenticates each request, and counts it, before anything of it is read. @param limit absent: none is counted */
export function useAuthentication(
  app: FastifyInstance,
  authenticator: Authenticator,
  limit?: RateLimit,
): void {
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request, reply) => {
    // What belongs to no route is answered by the one handler that says so.
    if (request.is404) {
      request.caller = { kind: 'nobody' };
      return;
    }
    const routeAccess = accessOf(request);
    request.caller = await authenticator.authenticate(request, routeAccess.schemes);
    if (limit) await countRequest(limit, request.caller, reply);
    if (request.caller.kind === 'team') assertStanding(request.caller.team, routeAccess);
  });
}

/** @throws TypeError for a route that does not say who may call it; none is added (see requireDeclaredAccess). */
function accessOf(request: FastifyRequest): RouteAccess {
  const { config, method, url } = request.routeOptions;
  if (!config.access) throw new TypeError(`the route ${method} ${url} does not say who may call it`);
  return config.access;
}

/** The calling team of a route that only teams reach. */
export function callingTeam(request: FastifyRequest): Team {
  if (request.caller.kind !== 'team') throw new TypeError('this route is not behind team authentication');
  return request.caller.team;
}

/** The calling user of a route that only users reach. */
export function callingUser(request: FastifyRequest): string {
  if (request.caller.kind !== 'user') throw new TypeError('this route is not behind user authentication');
  return request.caller.userId;
}

/**
 * The team a request acts for on routes that both teams and users reach. A team may name only itself; a user names one
 * of theirs (by parameter or X-Team-ID), or means the default one.
 */
export async function actingTeam(
  request: FastifyRequest,
  authenticator: Authenticator,
  teamId?: string,
): Promise<Team> {
  const { caller } = request;
  if (caller.kind === 'team') {
    if (teamId !== undefined && teamId.toLowerCase() !== caller.team.id) {
      throw otherTeamThanKey();
    }
    return caller.team;
  }
  if (caller.kind !== 'user') throw new TypeError('this route is not behind authentication');
  const header = request.headers['x-team-id'];
  const named = teamId ?? (typeof header === 'string' && header !== '' ? header : undefined);
  const team = await authenticator.teamOfUser(caller.userId, named);
  assertStanding(team, accessOf(request));
  return team;
}
