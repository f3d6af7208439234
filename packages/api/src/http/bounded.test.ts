import Fastify from 'fastify';
import { Type } from 'typebox';
import { expect, it } from 'vitest';
import { unbounded, useBoundedRequests } from './bounded.ts';
import { cappedTextMap, named } from './caps.ts';

const short = Type.String({ maxLength: 9 });

it.each([
  ['a text', Type.String(), ['body']],
  ['a text with a form only', Type.String({ pattern: '^a*$' }), ['body']],
  ['a field', Type.Object({ a: short, b: Type.Optional(Type.String()) }), ['body.b']],
  ['a list', Type.Array(short), ['body']],
  ['a list’s elements', Type.Array(Type.String(), { maxItems: 3 }), ['body[]']],
  ['a list of anything', Type.Array(Type.Unknown(), { maxItems: 3 }), ['body[]']],
  ['a map', Type.Record(Type.String(), short), ['body', 'body (keys)']],
  ['a map’s keys', Type.Record(Type.String(), Type.Boolean(), { maxProperties: 3 }), ['body (keys)']],
  [
    'a map by its additional properties',
    Type.Object({}, { additionalProperties: Type.String() }),
    ['body.*', 'body', 'body (keys)'],
  ],
  [
    'one of several',
    Type.Union([Type.Literal('a'), Type.Null(), Type.Object({ x: Type.String() })]),
    ['body.x'],
  ],
  ['anything', Type.Unknown(), ['body']],
])('names %s', (_, schema, parts) => {
  expect(unbounded('body', schema)).toEqual(parts);
});

it('lets pass what is bounded', () => {
  const schema = Type.Object({
    kind: Type.Union([Type.Literal('a'), Type.Literal('b')]),
    count: Type.Integer(),
    names: Type.Array(named(), { maxItems: 3 }),
    map: cappedTextMap({ entries: 1, keyLength: 1, valueLength: 1, bytes: 2 }),
  });
  expect(unbounded('body', schema)).toEqual([]);
});

it('lets no route begin that takes anything of any size', () => {
  const app = Fastify();
  useBoundedRequests(app);
  const schema = { body: Type.Object({ name: Type.String() }) };
  expect(() => app.post('/things', { schema }, () => undefined)).toThrow(
    'POST /things: no upper bound for body.name',
  );
});
