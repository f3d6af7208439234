import type { FastifyInstance, RouteOptions } from 'fastify';
import type { Scheme } from '../auth/authenticator.ts';
import { access, type RouteAccess } from '../auth/guard.ts';

type Json = Record<string, unknown>;

interface RouteSchema {
  summary?: string;
  body?: unknown;
  params?: { properties?: Json };
  querystring?: { properties?: Json; required?: string[] };
  response?: Record<string, unknown>;
}

const SECURITY_SCHEMES: Record<string, Json> = {
  apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
  accessToken: { type: 'http', scheme: 'bearer', description: 'An access token: sk_e2b_…' },
  jwt: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
  team: { type: 'apiKey', in: 'header', name: 'X-Team-ID' },
  admin: { type: 'apiKey', in: 'header', name: 'X-Admin-Token' },
};

/** The requirements of a scheme: all of the named headers at once. */
const REQUIREMENTS: Record<Scheme, string[]> = {
  apiKey: ['apiKey'],
  accessToken: ['accessToken'],
  jwt: ['jwt', 'team'],
  admin: ['admin'],
  adminTeam: ['admin', 'team'],
};

/** Serves /openapi.json, written from the very schemas that validate. Call it before any route is added. */
export function useOpenApi(app: FastifyInstance, info: { title: string; version: string }): void {
  const paths: Record<string, Json> = {};
  app.addHook('onRoute', (route) => {
    const methods = [route.method].flat().filter((method) => method !== 'HEAD' && method !== 'OPTIONS');
    if (!route.schema || route.url === '*') return;
    const path = route.url.replace(/:(\w+)/g, '{$1}');
    for (const method of methods) {
      paths[path] = { ...paths[path], [method.toLowerCase()]: operation(route) };
    }
  });
  app.get('/openapi.json', { config: { access: access.open } }, () => ({
    openapi: '3.1.0',
    info,
    paths,
    components: { securitySchemes: SECURITY_SCHEMES },
  }));
}

function operation(route: RouteOptions): Json {
  const schema = (route.schema ?? {}) as RouteSchema;
  const declared: RouteAccess | undefined = route.config?.access;
  const security = (declared?.schemes ?? []).map((scheme) =>
    Object.fromEntries(REQUIREMENTS[scheme].map((name) => [name, []])),
  );
  return {
    parameters: [
      ...parameters('path', schema.params?.properties, () => true),
      ...parameters('query', schema.querystring?.properties, (name) => isRequired(schema, name)),
    ],
    ...(schema.body !== undefined && {
      requestBody: { content: { 'application/json': { schema: asSent(schema.body) } } },
    }),
    responses: responses(schema.response ?? {}),
    security,
  };
}

/** A request's schema as clients see it: what has a default may be left out. */
function asSent(schema: unknown): unknown {
  const { required, properties, ...rest } = schema as { required?: string[]; properties?: Json };
  if (!properties) return schema;
  const needed = required?.filter(
    (name) => (properties[name] as { default?: unknown }).default === undefined,
  );
  return { ...rest, properties, ...(needed && needed.length > 0 && { required: needed }) };
}

function isRequired({ querystring }: RouteSchema, name: string): boolean {
  const property = querystring?.properties?.[name] as { default?: unknown } | undefined;
  return (querystring?.required?.includes(name) ?? false) && property?.default === undefined;
}

function parameters(place: 'path' | 'query', properties: Json = {}, required: (name: string) => boolean) {
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: place,
    required: required(name),
    schema,
  }));
}

function responses(bySchema: Record<string, unknown>): Json {
  return Object.fromEntries(
    Object.entries(bySchema).map(([status, schema]) => [
      status.toUpperCase(),
      {
        description: /^[45]/.test(status) ? 'An error' : 'Done',
        ...((schema as { type?: string }).type !== 'null' && {
          content: { 'application/json': { schema } },
        }),
      },
    ]),
  );
}
