import type { FastifyInstance, FastifySchema } from 'fastify';

interface Schema {
  type?: string;
  format?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  allOf?: Schema[];
  items?: Schema;
  maxItems?: number;
  maxLength?: number;
  maxProperties?: number;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  propertyNames?: Schema;
}

/**
 * Refuses, as the service starts, every route whose query or body names a text, a list or a map without an upper
 * bound. What a path holds is bounded by the router.
 */
export function useBoundedRequests(app: FastifyInstance): void {
  app.addHook('onRoute', ({ method, url, schema }) => {
    const { querystring, body } = (schema ?? {}) as FastifySchema;
    const open = [...unbounded('querystring', querystring), ...unbounded('body', body)];
    if (open.length > 0) throw new TypeError(`${method} ${url}: no upper bound for ${open.join(', ')}`);
  });
}

/** The parts of a schema that may be of any size. */
export function unbounded(name: string, schema: unknown): string[] {
  if (schema === undefined) return [];
  const { type, items, properties, patternProperties, additionalProperties, propertyNames, ...rest } =
    schema as Schema;
  if (rest.const !== undefined || rest.enum) return [];
  const alternatives = [...(rest.anyOf ?? []), ...(rest.allOf ?? [])];
  if (alternatives.length > 0) return alternatives.flatMap((each) => unbounded(name, each));
  switch (type) {
    case 'string':
      return rest.maxLength === undefined ? [name] : [];
    case 'array':
      return [...(rest.maxItems === undefined ? [name] : []), ...unbounded(`${name}[]`, items ?? {})];
    case 'object': {
      const free = {
        ...patternProperties,
        ...(typeof additionalProperties === 'object' && { '*': additionalProperties }),
      };
      const values = Object.values(free);
      const isMap = values.length > 0;
      return [
        ...Object.entries(properties ?? {}).flatMap(([key, each]) => unbounded(`${name}.${key}`, each)),
        ...values.flatMap((each) => unbounded(`${name}.*`, each)),
        ...(isMap && rest.maxProperties === undefined ? [name] : []),
        ...(isMap && propertyNames?.maxLength === undefined ? [`${name} (keys)`] : []),
      ];
    }
    case 'integer':
    case 'number':
    case 'boolean':
    case 'null':
      return [];
    default:
      return [name];
  }
}
