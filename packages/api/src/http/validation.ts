import { isUuid } from '@islet/contracts';
import { Ajv, type Options } from 'ajv';
import type { FastifyInstance } from 'fastify';

const formats = {
  'date-time': (text: string) => /^\d{4}-\d\d-\d\dT/i.test(text) && !Number.isNaN(Date.parse(text)),
  uuid: isUuid,
  int32: true,
  int64: true,
  double: true,
} satisfies Options['formats'];

/**
 * Bodies are JSON and typed, so that "5" is no number there; parameters are text and are converted. Unknown fields pass
 * in both, since newer clients send more than we know.
 */
export function useSchemaValidation(app: FastifyInstance): void {
  const strict = new Ajv({ useDefaults: true, formats, allErrors: false });
  const converting = new Ajv({ useDefaults: true, coerceTypes: true, formats, allErrors: false });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? strict : converting).compile(schema as object),
  );
  // The schemas of answers are for /openapi.json and the tests: what handlers return is typed by them already.
  app.setSerializerCompiler(() => JSON.stringify);
}
