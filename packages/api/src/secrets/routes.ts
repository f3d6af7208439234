import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { SECRET_ID_PREFIX } from '@islet/contracts';
import type { Secret } from '@islet/vault';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { KIB } from '../http/caps.ts';
import { decodePageToken, pageQuery, sendPage } from '../http/paging.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';
import { fromBackend, useSecretsAnswers } from './answers.ts';
import { parseSecretMetadata, parseSecretName, parseSecretValue, parseSelector } from './fields.ts';
import { NewSecretShape, SecretParams, SecretShape, SecretVersionShape } from './shapes.ts';

/** The longest value with every character escaped, and metadata. */
const BODY_BYTES = 512 * KIB;
const errors = { '4xx': ErrorShape, '5xx': ErrorShape };

/** The credentials of teams. No route tells a value. */
export function addSecretRoutes(app: ApiApp, context: ApiContext): void {
  void app.register(
    async (plain) => {
      useSecretsAnswers(plain, context.logger);
      addRoutes(plain.withTypeProvider<TypeBoxTypeProvider>(), context);
    },
    { prefix: '/secrets' },
  );
}

function addRoutes(app: ApiApp, { secrets }: ApiContext): void {
  app.get(
    '',
    {
      config: { access: access.teamRead },
      schema: {
        querystring: Type.Object(pageQuery),
        response: { 200: Type.Array(SecretShape), ...errors },
      },
    },
    async (request, reply) => {
      const { limit, nextToken } = request.query;
      const token = nextToken === undefined ? undefined : decodePageToken(nextToken, 'desc');
      const { id: teamId } = callingTeam(request);
      const after = token && { createdAt: new Date(token.timeMs), id: SECRET_ID_PREFIX + token.id };
      const rows = await fromBackend(secrets.list({ teamId, ...(after && { after }), limit: limit + 1 }));
      return sendPage(reply, rows, {
        ...{ limit, order: 'desc', present },
        token: ({ createdAt, id }) => ({
          timeMs: createdAt.getTime(),
          id: id.slice(SECRET_ID_PREFIX.length),
        }),
      });
    },
  );

  app.post(
    '',
    {
      bodyLimit: BODY_BYTES,
      config: { access: access.team },
      schema: { body: NewSecretShape, response: { 201: SecretShape, ...errors } },
    },
    async (request, reply) => {
      const { name, value, metadata = {} } = request.body;
      const fields = {
        name: parseSecretName(name),
        value: parseSecretValue(value),
        metadata: parseSecretMetadata(metadata),
      };
      const made = await fromBackend(secrets.create(callingTeam(request).id, fields));
      return reply.code(201).send(present(made));
    },
  );

  app.get(
    '/:selector',
    {
      config: { access: access.teamRead },
      schema: { params: SecretParams, response: { 200: SecretShape, ...errors } },
    },
    async (request) => {
      const selector = parseSelector(request.params.selector);
      return present(await fromBackend(secrets.find(callingTeam(request).id, selector)));
    },
  );

  app.post(
    '/:selector',
    {
      bodyLimit: BODY_BYTES,
      config: { access: access.team },
      schema: { params: SecretParams, body: SecretVersionShape, response: { 200: SecretShape, ...errors } },
    },
    async (request) => {
      const selector = parseSelector(request.params.selector);
      const { value, metadata } = request.body;
      const fields = {
        value: parseSecretValue(value),
        metadata: metadata && parseSecretMetadata(metadata),
      };
      return present(await fromBackend(secrets.update(callingTeam(request).id, selector, fields)));
    },
  );

  app.delete(
    '/:selector',
    {
      config: { access: access.team },
      schema: { params: SecretParams, response: { 204: NoContent, ...errors } },
    },
    async (request, reply) => {
      const selector = parseSelector(request.params.selector);
      await fromBackend(secrets.destroy(callingTeam(request).id, selector));
      return reply.code(204).send();
    },
  );
}

function present({ id, name, version, metadata, createdAt, updatedAt }: Secret): Static<typeof SecretShape> {
  return {
    ...{ secretID: id, name, currentVersion: version, metadata },
    ...{ createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() },
  };
}
