import { Type } from 'typebox';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const dateTime = () => Type.String({ format: 'date-time' });

const Mask = Type.Object({
  prefix: Type.String(),
  valueLength: Type.Integer({ description: 'Of the part behind the prefix' }),
  maskedValuePrefix: Type.String(),
  maskedValueSuffix: Type.String(),
});

const keyFields = {
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  mask: Mask,
  createdAt: dateTime(),
  createdBy: nullable(Type.Object({ id: Type.String(), email: Type.Null() })),
  lastUsed: nullable(dateTime()),
};

export const ApiKeyShape = Type.Object(keyFields);

export const CreatedApiKeyShape = Type.Object({
  ...keyFields,
  key: Type.String({ description: 'The key: shown this once' }),
});

export const AccessTokenShape = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  token: Type.String({ description: 'The token: shown this once' }),
  mask: Mask,
  createdAt: dateTime(),
});

/** A name for people: any text but control characters. */
export const NamedRequest = Type.Object({
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be stored
  name: Type.String({ minLength: 1, maxLength: 256, pattern: /^[^\u0000-\u001f\u007f]*$/.source }),
});
