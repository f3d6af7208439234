import { setTeamStanding } from '@islet/db';
import { createMemoryAudit } from '@islet/sinks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

const audit = createMemoryAudit({ most: 1_000 });
const VALUE = 'the value that nobody is told';
let api: Harness;
let team: { id: string; key: string };
beforeAll(async () => {
  api = await startHarness({ audit });
  team = await api.team('secretive');
});
afterAll(() => api?.close());

const call = (method: string, path = '', body?: unknown, key: string | null = team.key) =>
  api.call(method, `/secrets${path}`, { key, ...(body !== undefined && { body }) });
let count = 0;
const make = async (over: object = {}) =>
  (await call('POST', '', { name: `n${count++}`, value: VALUE, ...over })).body;
const refusal = (code: number, message: string) => ({ status: code, body: { code, message } });
const BAD = refusal(400, 'Invalid secrets request');
const MISSING = refusal(404, 'Secret not found');

it('are made, read by id and by name, changed and destroyed, and tell no value', async () => {
  const { status, headers, body } = await call('POST', '', { name: 'API-Key_1', value: VALUE });
  expect(status).toBe(201);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(body).toEqual({
    ...{ secretID: expect.stringMatching(/^sec_[0-9a-z]{26}$/), name: 'api-key_1', currentVersion: 1 },
    ...{ metadata: {}, createdAt: expect.stringMatching(/Z$/), updatedAt: body.createdAt },
  });
  for (const selector of [body.secretID, ` ${body.secretID.toUpperCase()} `, 'api-key_1', ' API-Key_1 ']) {
    expect(await call('GET', `/${encodeURIComponent(selector)}`)).toMatchObject({ status: 200, body });
  }
  const change = { value: 'another', metadata: { a: 'b' } };
  const changed = await call('POST', `/${body.secretID}`, change);
  expect(changed.body).toEqual({
    ...body,
    ...{ currentVersion: 2, metadata: { a: 'b' }, updatedAt: changed.body.updatedAt },
  });
  expect((await call('POST', '/api-key_1', { value: 'x' })).body.metadata).toEqual({ a: 'b' });
  expect((await call('POST', '/api-key_1', { value: 'x', metadata: {} })).body.metadata).toEqual({});
  expect(await call('POST', '', { name: 'api-key_1', value: 'x' })).toMatchObject(
    refusal(409, 'Secret cannot be modified in its current state'),
  );
  const gone = await call('DELETE', '/api-key_1');
  expect(gone.status).toBe(204);
  expect(gone.headers.get('cache-control')).toBe('no-store');
  for (const method of ['GET', 'DELETE']) expect(await call(method, '/api-key_1')).toMatchObject(MISSING);
  expect(await call('POST', `/${body.secretID}`, { value: 'x' })).toMatchObject(MISSING);
});

it('are listed in pages', async () => {
  const own = await api.team('lister');
  expect((await call('GET', '', undefined, own.key)).body).toEqual([]);
  const made = [];
  for (const name of ['a', 'b', 'c'])
    made.unshift((await call('POST', '', { name, value: 'x' }, own.key)).body);
  const first = await call('GET', '?limit=2', undefined, own.key);
  const token = first.headers.get('x-next-token');
  const rest = await call('GET', `?limit=2&nextToken=${token}`, undefined, own.key);
  expect(first.body).toHaveLength(2);
  expect(rest.headers.get('x-next-token')).toBeNull();
  const byId = (all: { secretID: string }[]) => all.map(({ secretID }) => secretID).sort();
  expect(byId([...first.body, ...rest.body])).toEqual(byId(made));
});

describe('what is refused', () => {
  it.each([
    ['a name with blanks', { name: ' a ' }],
    ['a name like an id', { name: 'sec_a' }],
    ['a name in another script', { name: 'ключ' }],
    ['a name that is too long', { name: 'a'.repeat(129) }],
    ['an empty value', { value: '' }],
    ['a value that is too long', { value: 'a'.repeat(65_537) }],
    ['a value that is too long in bytes', { value: 'é'.repeat(32_769) }],
    ['a body that is too long', { value: 'a'.repeat(600_000) }],
    ['half a character', { value: '\ud800' }],
    ['no value', { value: undefined }],
    ['metadata that is no text', { metadata: { a: 1 } }],
    ['a key of metadata that is too long', { metadata: { ['k'.repeat(129)]: '' } }],
    ['an entry of metadata that is too long', { metadata: { a: 'b'.repeat(1_025) } }],
    [
      'metadata that is too long',
      { metadata: Object.fromEntries([...'abcdefghi'].map((k) => [k, k.repeat(1_000)])) },
    ],
    [
      'too many entries',
      { metadata: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`${i}`, ''])) },
    ],
  ])('is %s', async (_, over) => {
    const answer = await call('POST', '', { name: 'fine', value: VALUE, ...over });
    expect(answer).toMatchObject(BAD);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it('takes the longest values as they are', async () => {
    const made = await make({ value: '\u0001'.repeat(65_536), metadata: { 'a b': 'é' } });
    expect(made.currentVersion).toBe(1);
  });

  it('is a selector that is none, a bad page, and a path that there is not', async () => {
    for (const selector of ['sec_x', 'SEC_X', 'a%20b', '%C3%A9']) {
      expect(await call('GET', `/${selector}`)).toMatchObject(BAD);
    }
    for (const query of ['?limit=0', '?limit=101', '?limit=x', '?nextToken=AAAA']) {
      expect(await call('GET', query)).toMatchObject(BAD);
    }
    const unknown = await call('GET', '/a/b');
    expect(unknown).toMatchObject(refusal(404, 'Not found'));
    expect(unknown.headers.get('cache-control')).toBe('no-store');
    const undecodable = await call('GET', '/%zz');
    expect(undecodable).toMatchObject(BAD);
    expect(undecodable.headers.get('cache-control')).toBe('no-store');
    const other = await api.call('GET', '/secretsfoo', { key: team.key });
    expect(other.status).toBe(404);
    expect(other.headers.get('cache-control')).toBeNull();
  });

  it('is who has no key, another team, and a blocked team but for reading', async () => {
    const { secretID } = await make();
    for (const [method, path] of [
      ['GET', ''],
      ['POST', ''],
      ['GET', `/${secretID}`],
      ['DELETE', `/${secretID}`],
    ] as const) {
      const answer = await call(method, path, undefined, null);
      expect(answer).toMatchObject(refusal(401, 'You are not authenticated'));
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
    const other = await api.team('curious');
    expect(await call('GET', `/${secretID}`, undefined, other.key)).toMatchObject(MISSING);
    expect(await call('DELETE', `/${secretID}`, undefined, other.key)).toMatchObject(MISSING);
    const blocked = await api.team('blocked');
    await call('POST', '', { name: 'mine', value: VALUE }, blocked.key);
    await setTeamStanding(api.db, blocked.id, { isBlocked: true, blockedReason: 'unpaid' });
    await expect
      .poll(() => call('DELETE', '/other', undefined, blocked.key))
      .toMatchObject(refusal(403, 'Secrets are not available for this team'));
    expect((await call('GET', '/mine', undefined, blocked.key)).status).toBe(200);
  });
});

it('leave who changed them in the audit, and no value in it or in errors', async () => {
  const { secretID } = await make({ name: 'audited' });
  await call('POST', '/audited', { value: `${VALUE} 2` });
  await call('DELETE', '/audited');
  await expect
    .poll(async () => {
      const records = await audit.query({ limit: 1_000 } as never);
      return records.filter(
        ({ route, objects }) =>
          route.startsWith('/secrets') && (objects.secretID === secretID || objects.selector === 'audited'),
      );
    })
    .toHaveLength(3);
  expect(JSON.stringify(await audit.query({ limit: 1_000 } as never))).not.toContain(VALUE);
});

it('publishes what verifies identity tokens, to everybody', async () => {
  const configuration = await api.call('GET', '/.well-known/openid-configuration', { key: null });
  expect(configuration.headers.get('cache-control')).toBe('max-age=300');
  expect(configuration.body).toEqual({
    ...{ issuer: 'https://islet.example', jwks_uri: 'https://islet.example/.well-known/jwks.json' },
    id_token_signing_alg_values_supported: ['RS256'],
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
  });
  const { body, headers } = await api.call('GET', '/.well-known/jwks.json', { key: null });
  expect(headers.get('cache-control')).toBe('max-age=300');
  const [key] = body.keys;
  expect(Object.keys(key).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
});
