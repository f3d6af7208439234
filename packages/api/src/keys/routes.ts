import { IsletError, isUuid } from '@islet/contracts';
import {
  type ApiKey,
  type CreatedApiKey,
  createAccessToken,
  createApiKey,
  deleteAccessToken,
  deleteApiKey,
  listApiKeys,
  renameApiKey,
} from '@islet/db';
import { type Static, Type } from 'typebox';
import { access, actingTeam, callingUser } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';
import { AccessTokenShape, ApiKeyShape, CreatedApiKeyShape, NamedRequest } from './shapes.ts';

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

/** @throws IsletError 400 where the text is no id, 404 is for ids of nothing */
export function parseKeyId(text: string): string {
  if (!isUuid(text)) throw new IsletError(400, `Invalid API key ID '${text}'`);
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
      const key = await createApiKey(db, { teamId: team.id, name: request.body.name, createdBy });
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
      if (!(await renameApiKey(db, { id, teamId: team.id }, request.body.name))) throw keyNotFound();
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
      const token = await createAccessToken(db, { userId: callingUser(request), name: request.body.name });
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
      if (!isUuid(id)) throw new IsletError(400, `Invalid access token ID '${id}'`);
      const hash = await deleteAccessToken(db, { id, userId: callingUser(request) });
      if (hash === undefined) throw new IsletError(404, 'Access token not found');
      authenticator.accessTokens.drop(hash);
      return reply.code(204).send();
    },
  );
}

const keyNotFound = () => new IsletError(404, 'API key not found');

/**
 * Revokes a team's key: it is refused from the next request on.
 * @throws IsletError 404
 */
export async function revokeKey(
  { db, authenticator }: ApiContext,
  target: { id: string; teamId: string },
): Promise<void> {
  const hash = await deleteApiKey(db, target);
  if (hash === undefined) throw keyNotFound();
  authenticator.apiKeys.drop(hash);
}
