import { isUuid } from '@islet/contracts';
import { Ajv, type KeywordDefinition, type Options } from 'ajv';
import type { DataValidateFunction } from 'ajv/dist/types/index.js';
import type { FastifyInstance } from 'fastify';
import { TEXT_BYTES } from './caps.ts';

const formats = {
  'date-time': (text: string) => /^\d{4}-\d\d-\d\dT/i.test(text) && !Number.isNaN(Date.parse(text)),
  uuid: isUuid,
  int32: true,
  int64: true,
  double: true,
} satisfies Options['formats'];

/** Most UTF-8 that a map's keys and texts take together. */
const textBytes: KeywordDefinition = {
  keyword: TEXT_BYTES,
  type: 'object',
  schemaType: 'number',
  errors: true,
  compile: (most: number) => {
    const validate: DataValidateFunction = (map: Record<string, unknown>) => {
      let bytes = 0;
      for (const [key, value] of Object.entries(map)) {
        bytes += Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
      }
      if (bytes <= most) return true;
      const message = `must NOT have keys and values of more than ${most} bytes together`;
      validate.errors = [{ keyword: TEXT_BYTES, message, params: { bytes } }];
      return false;
    };
    return validate;
  },
};

/**
 * Bodies are JSON and typed, so that "5" is no number there; parameters are text and are converted. Unknown fields pass
 * in both, since newer clients send more than we know.
 */
export function useSchemaValidation(app: FastifyInstance): void {
  const options: Options = { useDefaults: true, formats, allErrors: false, keywords: [textBytes] };
  const strict = new Ajv(options);
  const converting = new Ajv({ ...options, coerceTypes: true });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? strict : converting).compile(schema as object),
  );
  // The schemas of answers are for /openapi.json and the tests: what handlers return is typed by them already.
  app.setSerializerCompiler(() => JSON.stringify);
}
