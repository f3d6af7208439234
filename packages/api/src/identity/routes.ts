import { type Static, Type } from 'typebox';
import { access } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';

const CACHED = 'max-age=300';
const errors = { '5xx': ErrorShape };
const JsonWebKey = Type.Object({
  ...{ kty: Type.String(), n: Type.String(), e: Type.String() },
  ...{ kid: Type.String(), use: Type.String(), alg: Type.String() },
});

/** What verifiers of identity tokens read, without a key. */
export function addIdentityRoutes(app: ApiApp, { identity }: ApiContext): void {
  app.get(
    '/.well-known/openid-configuration',
    {
      config: { access: access.open },
      schema: {
        response: {
          200: Type.Object({
            ...{ issuer: Type.String(), jwks_uri: Type.String() },
            id_token_signing_alg_values_supported: Type.Array(Type.String()),
            response_types_supported: Type.Array(Type.String()),
            subject_types_supported: Type.Array(Type.String()),
          }),
          ...errors,
        },
      },
    },
    async (_, reply) => {
      reply.header('Cache-Control', CACHED);
      return identity.configuration();
    },
  );

  app.get(
    '/.well-known/jwks.json',
    {
      config: { access: access.open },
      schema: { response: { 200: Type.Object({ keys: Type.Array(JsonWebKey) }), ...errors } },
    },
    async (_, reply) => {
      const keySet = await identity.keySet();
      reply.header('Cache-Control', CACHED);
      return keySet as { keys: Static<typeof JsonWebKey>[] };
    },
  );
}
