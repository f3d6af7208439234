import {
  accessTokenNotFound,
  apiKeyNotFound,
  assertWithin,
  invalidAccessTokenId,
  invalidApiKeyId,
  isUuid,
  tooManyAccessTokens,
} from '@islet/contracts';
import {
  type ApiKey,
  type CreatedAccessToken,
  type CreatedApiKey,
  countAccessTokens,
  countApiKeys,
  createAccessToken,
  createApiKey,
  type Database,
  deleteAccessToken,
  deleteApiKey,
  listApiKeys,
  renameApiKey,
  type Team,
  whileCounted,
  whileCountedOfUser,
} from '@islet/db';
import { type Static, Type } from 'typebox';
import { access, actingTeam, callingUser } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';
import { AccessTokenShape, ApiKeyShape, CreatedApiKeyShape, NamedRequest } from './shapes.ts';

/** Of one user. */
const MOST_ACCESS_TOKENS = 100;

const errors = { '4xx': ErrorShape };
const keyParams = Type.Object({ apiKeyID: Type.String() });

function present(key: ApiKey): Static<typeof ApiKeyShape> {
  return {
    id: key.id,
    name: key.name,
    mask: key.mask,
    createdAt: key.createdAt.toISOString(),
    createdBy: key.createdBy === null ? null : { id: key.createdBy, email: null },
    lastUsed: key.lastUsed?.toISOString() ?? null,
  };
}

export function presentCreatedKey(key: CreatedApiKey): Static<typeof CreatedApiKeyShape> {
  return { ...present(key), key: key.key };
}

/** @throws IsletError 400 if the text is no id, 404 is for ids of nothing */
export function parseKeyId(text: string): string {
  if (!isUuid(text)) throw invalidApiKeyId(text);
  return text.toLowerCase();
}

/** Managing API keys and access tokens. */
export function addKeyRoutes(app: ApiApp, context: ApiContext): void {
  const { db, authenticator } = context;

  app.get(
    '/api-keys',
    {
      config: { access: access.keysRead },
      schema: { response: { 200: Type.Array(ApiKeyShape), ...errors } },
    },
    async (request) => (await listApiKeys(db, (await actingTeam(request, authenticator)).id)).map(present),
  );

  app.post(
    '/api-keys',
    {
      config: { access: access.keys },
      schema: { body: NamedRequest, response: { 201: CreatedApiKeyShape, ...errors } },
    },
    async (request, reply) => {
      const team = await actingTeam(request, authenticator);
      const createdBy = request.caller.kind === 'user' ? request.caller.userId : null;
      const key = await addApiKey(db, team, { name: request.body.name, createdBy });
      return reply.code(201).send(presentCreatedKey(key));
    },
  );

  app.patch(
    '/api-keys/:apiKeyID',
    {
      config: { access: access.keys },
      schema: { params: keyParams, body: NamedRequest, response: { 202: NoContent, ...errors } },
    },
    async (request, reply) => {
      const id = parseKeyId(request.params.apiKeyID);
      const team = await actingTeam(request, authenticator);
      if (!(await renameApiKey(db, { id, teamId: team.id }, request.body.name))) throw apiKeyNotFound();
      return reply.code(202).send();
    },
  );

  app.delete(
    '/api-keys/:apiKeyID',
    {
      config: { access: access.keysRead },
      schema: { params: keyParams, response: { 204: NoContent, ...errors } },
    },
    async (request, reply) => {
      const id = parseKeyId(request.params.apiKeyID);
      const team = await actingTeam(request, authenticator);
      await revokeKey(context, { id, teamId: team.id });
      return reply.code(204).send();
    },
  );

  app.post(
    '/access-tokens',
    {
      config: { access: access.user },
      schema: { body: NamedRequest, response: { 201: AccessTokenShape, ...errors } },
    },
    async (request, reply) => {
      const token = await addAccessToken(db, callingUser(request), request.body.name);
      return reply.code(201).send({ ...token, createdAt: token.createdAt.toISOString() });
    },
  );

  app.delete(
    '/access-tokens/:accessTokenID',
    {
      config: { access: access.user },
      schema: {
        params: Type.Object({ accessTokenID: Type.String() }),
        response: { 204: NoContent, ...errors },
      },
    },
    async (request, reply) => {
      const id = request.params.accessTokenID;
      if (!isUuid(id)) throw invalidAccessTokenId(id);
      const hash = await deleteAccessToken(db, { id, userId: callingUser(request) });
      if (hash === undefined) throw accessTokenNotFound();
      authenticator.accessTokens.drop(hash);
      return reply.code(204).send();
    },
  );
}

/**
 * Makes a key for a team.
 * @throws IsletError 403 if it has as many as it may have
 */
export function addApiKey(
  db: Database,
  { id: teamId, limits }: Team,
  key: { name: string; createdBy: string | null },
): Promise<CreatedApiKey> {
  const remedy = 'delete keys that are not needed (DELETE /api-keys/{apiKeyID}, `islet keys revoke`)';
  return whileCounted(db, teamId, async (tx) => {
    const used = await countApiKeys(tx, teamId);
    assertWithin({ what: 'API keys', used, wanted: 1, most: limits.maxApiKeys, remedy, flag: '--keys' });
    return createApiKey(tx, { teamId, ...key });
  });
}

/** @throws IsletError 403 if the user has as many as there may be */
function addAccessToken(db: Database, userId: string, name: string): Promise<CreatedAccessToken> {
  return whileCountedOfUser(db, userId, async (tx) => {
    if ((await countAccessTokens(tx, userId)) >= MOST_ACCESS_TOKENS) {
      throw tooManyAccessTokens(MOST_ACCESS_TOKENS);
    }
    return createAccessToken(tx, { userId, name });
  });
}

/**
 * Revokes a team's key: it is refused from the next request on.
 * @throws IsletError 404
 */
export async function revokeKey(
  { db, authenticator }: ApiContext,
  target: { id: string; teamId: string },
): Promise<void> {
  const revoked = await deleteApiKey(db, target);
  if (!revoked) throw apiKeyNotFound();
  authenticator.forget(revoked);
}
