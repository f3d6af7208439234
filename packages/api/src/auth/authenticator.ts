import {
  authorizationMalformed,
  authorizationMissing,
  defaultTeamMissing,
  hashKey,
  IsletError,
  invalidAdminToken,
  invalidJwt,
  isUuid,
  KEY_PREFIX,
  keyDefect,
  malformedAccessToken,
  malformedApiKey,
  notTheUsersTeam,
  secretsEqual,
  teamNotFound,
  tooManyFailedAttempts,
  unknownAccessToken,
  unknownApiKey,
} from '@islet/contracts';
import {
  type Database,
  findAccessTokenOwners,
  findApiKeyOwners,
  findTeam,
  formatMask,
  listUserTeams,
  type Revoked,
  type Team,
  touchApiKey,
} from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { FastifyRequest } from 'fastify';
import type { Clock } from '../deps.ts';
import { REFUSED } from '../figures.ts';
import { CredentialCache } from './credential-cache.ts';
import { FailedAttempts } from './failed-attempts.ts';

/** The key or token that was shown, as it may be told of. */
export interface Credential {
  id: string;
  /** `e2b_53...dd90` */
  mask: string;
}

/** Who a request comes from; a team without a key is the operator on its behalf. */
export type Caller =
  | { kind: 'nobody' }
  | { kind: 'team'; team: Team; key: Credential | undefined }
  | { kind: 'user'; userId: string; key: Credential }
  | { kind: 'admin' };

/** Ways to prove who one is. */
export type Scheme = 'apiKey' | 'accessToken' | 'jwt' | 'admin' | 'adminTeam';

export interface AuthenticatorOptions {
  db: Database;
  clock: Clock;
  logger: Logger;
  adminToken: string | undefined;
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Proves who a request comes from, by the schemes its route accepts. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly apiKeys: CredentialCache<{ key: Credential; team: Team }>;
  readonly accessTokens: CredentialCache<{ key: Credential; userId: string }>;
  readonly #attempts: FailedAttempts;
  readonly #touches = new Set<Promise<void>>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    const { db, logger } = options;
    const monotonic = () => options.clock.monotonic();
    this.#attempts = new FailedAttempts(monotonic);
    this.apiKeys = new CredentialCache({
      load: async (hashes) =>
        (await findApiKeyOwners(db, hashes)).map(({ hash, keyId, mask, team }) => ({
          hash,
          value: { key: { id: keyId, mask: formatMask(mask) }, team },
        })),
      monotonic,
      logger,
    });
    this.accessTokens = new CredentialCache({
      load: async (hashes) =>
        (await findAccessTokenOwners(db, hashes)).map(({ hash, tokenId, mask, userId }) => ({
          hash,
          value: { key: { id: tokenId, mask: formatMask(mask) }, userId },
        })),
      monotonic,
      logger,
    });
  }

  /**
   * Tries the schemes in order, those whose header is there. If none succeeds, the first one tried names the reason.
   */
  async authenticate(request: FastifyRequest, schemes: readonly Scheme[]): Promise<Caller> {
    if (schemes.length === 0) return { kind: 'nobody' };
    let reason: unknown;
    for (const scheme of schemes) {
      try {
        const caller = await this.#try(scheme, request);
        if (caller) return caller;
      } catch (error) {
        if (!(error instanceof IsletError) || error.status >= 500) throw error;
        reason ??= error;
      }
    }
    throw reason ?? authorizationMissing();
  }

  /** The team that a user acts for: the one named, else the default one. */
  async teamOfUser(userId: string, teamId: string | undefined): Promise<Team> {
    const memberships = await listUserTeams(this.#options.db, userId);
    if (teamId !== undefined) {
      const named = memberships.find(({ team }) => team.id === teamId.toLowerCase());
      if (!named) throw notTheUsersTeam();
      return named.team;
    }
    const [first] = memberships;
    if (!first?.isDefault) throw defaultTeamMissing();
    return first.team;
  }

  /** Refuses what was revoked from the next request on. */
  forget({ apiKeys, accessTokens }: Revoked): void {
    for (const hash of apiKeys) this.apiKeys.drop(hash);
    for (const hash of accessTokens) this.accessTokens.drop(hash);
  }

  async close(): Promise<void> {
    await Promise.all([this.apiKeys.close(), this.accessTokens.close(), ...this.#touches]);
  }

  /** The caller, or undefined if the scheme's header is not there. */
  async #try(scheme: Scheme, request: FastifyRequest): Promise<Caller | undefined> {
    switch (scheme) {
      case 'apiKey':
        return this.#byApiKey(headerOf(request, 'x-api-key'), request.ip);
      case 'accessToken':
        return this.#byAccessToken(headerOf(request, 'authorization'), request.ip);
      case 'jwt':
        return this.#byJwt(headerOf(request, 'authorization'));
      case 'admin':
        return this.#byAdminToken(headerOf(request, 'x-admin-token'), request.ip);
      case 'adminTeam':
        return this.#byAdminTeam(request);
    }
  }

  async #byApiKey(key: string | undefined, address: string): Promise<Caller | undefined> {
    if (key === undefined) return undefined;
    const defect = keyDefect('api', key);
    if (defect === 'prefix') throw authorizationMalformed();
    if (defect === 'format') throw malformedApiKey();
    const hit = await this.#attempt(address, (assertMayTry) =>
      this.apiKeys.get(hashKey('api', key), assertMayTry),
    );
    if (!hit) throw unknownApiKey();
    if (hit.loaded) this.#touch(hit.value.key.id);
    return { kind: 'team', ...hit.value };
  }

  /** Notes the use of a key behind the request's back. */
  #touch(keyId: string): void {
    const touch = touchApiKey(this.#options.db, keyId)
      .catch((error: unknown) =>
        this.#options.logger.warn({ err: error, keyId }, 'cannot note the use of a key'),
      )
      .finally(() => this.#touches.delete(touch));
    this.#touches.add(touch);
  }

  async #byAccessToken(header: string | undefined, address: string): Promise<Caller | undefined> {
    const token = bearer(header);
    if (token === undefined || !token.startsWith(KEY_PREFIX.access)) return undefined;
    if (keyDefect('access', token)) throw malformedAccessToken();
    const hit = await this.#attempt(address, (assertMayTry) =>
      this.accessTokens.get(hashKey('access', token), assertMayTry),
    );
    if (!hit) throw unknownAccessToken();
    return { kind: 'user', ...hit.value };
  }

  /** No identity provider can be configured yet, so that no such token is good. */
  async #byJwt(header: string | undefined): Promise<Caller | undefined> {
    const token = bearer(header);
    if (token === undefined || token.startsWith(KEY_PREFIX.access)) return undefined;
    throw invalidJwt();
  }

  async #byAdminToken(token: string | undefined, address: string): Promise<Caller | undefined> {
    if (token === undefined) return undefined;
    const { adminToken } = this.#options;
    const isRight = await this.#attempt(address, async (assertMayTry) => {
      assertMayTry();
      return adminToken !== undefined && secretsEqual(token, adminToken) ? true : undefined;
    });
    if (!isRight) throw invalidAdminToken();
    return { kind: 'admin' };
  }

  async #byAdminTeam(request: FastifyRequest): Promise<Caller | undefined> {
    const token = headerOf(request, 'x-admin-token');
    const teamId = headerOf(request, 'x-team-id');
    if (token === undefined || teamId === undefined) return undefined;
    await this.#byAdminToken(token, request.ip);
    const team = isUuid(teamId) ? await findTeam(this.#options.db, teamId) : undefined;
    if (!team) throw teamNotFound();
    return { kind: 'team', team, key: undefined };
  }

  /**
   * Looks at a credential that may be no one's. @param look calls what it is given before it asks anybody about it
   * @returns what `look` found; undefined counts as failed
   * @throws IsletError 429 if the address has failed too often
   */
  async #attempt<T>(
    address: string,
    look: (assertMayTry: () => void) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    let succeed = () => {};
    const found = await look(() => {
      const begun = this.#attempts.begin(address);
      if (typeof begun === 'number') {
        REFUSED.add({ reason: 'failed_attempts' });
        throw tooManyFailedAttempts(Math.ceil(begun / 1_000));
      }
      succeed = begun;
    });
    if (found !== undefined) succeed();
    return found;
  }
}

/** The token of a bearer header; undefined if there is no header. */
function bearer(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const match = /^Bearer +(\S+)$/i.exec(header);
  if (!match?.[1]) throw authorizationMalformed();
  return match[1];
}
