import { afterAll, describe, expect, inject, it } from 'vitest';
import { ControlPlane, type ErrorBody } from '../setup/control-plane.ts';
import { islet } from '../setup/instance.ts';
import { until } from '../setup/until.ts';

const access = inject('islet');
const api = new ControlPlane(access);
const where = ['--data-dir', access.dataDir];
afterAll(() => api[Symbol.asyncDispose]());

const KEY_TEXT = 'Invalid API key, please visit https://e2b.dev/docs/api-key for more information.\n';
const TOKEN_TEXT = 'Invalid Access token, try to login again by running `e2b auth login`.\n';
/** Acting as the local user. */
const asUser = (token = access.accessToken) => ({ key: null, headers: { Authorization: `Bearer ${token}` } });

/** The answer to a credential that was just deleted. Of several APIs, one may go by it until it has heard of that: docs/cluster.md. */
function afterDeletion<T extends { status: number }>(ask: () => Promise<T>): Promise<T> {
  if (!inject('cluster')) return ask();
  return until('every API has heard of it', 5_000, ask, ({ status }) => status === 401);
}

/** One sample of every kind of route that wants a team. */
const TEAM_ROUTES = [
  ['GET', '/sandboxes'],
  ['GET', '/v2/sandboxes'],
  ['POST', '/sandboxes'],
  ['POST', '/v2/sandboxes'],
  ['GET', '/sandboxes/iabc'],
  ['DELETE', '/sandboxes/iabc'],
  ['POST', '/sandboxes/iabc/timeout'],
  ['POST', '/sandboxes/iabc/refreshes'],
  ['POST', '/sandboxes/iabc/connect'],
  ['POST', '/v2/sandboxes/iabc/connect'],
  ['PUT', '/sandboxes/iabc/network'],
  ['GET', '/sandboxes/iabc/metrics'],
  ['GET', '/sandboxes/iabc/logs'],
  ['GET', '/v2/sandboxes/iabc/logs'],
  ['GET', '/templates'],
  ['GET', '/templates/aliases/base'],
] as const;

describe('a route for teams', () => {
  it.each([
    ['without a key', { key: null }, 'authorization header is missing'],
    ['with an empty key', { key: '' }, 'authorization header is missing'],
    ['with a key of another kind', { key: 'sk-abc' }, 'authorization header is malformed'],
    ['with an access token for a key', { key: access.accessToken }, 'authorization header is malformed'],
    ['with a key that is not hex', { key: 'e2b_nothex' }, `${KEY_TEXT}Invalid API key format`],
    ['with half a byte too many', { key: `${access.apiKey}0` }, `${KEY_TEXT}Invalid API key format`],
    ['with nothing behind the prefix', { key: 'e2b_' }, `${KEY_TEXT}Invalid API key format`],
    [
      'with a key that nobody has',
      { key: `e2b_${'a'.repeat(40)}` },
      `${KEY_TEXT}Cannot get the team for the given API key`,
    ],
    ['with a JWT', asUser('a.b.c'), 'Invalid auth provider token.\nBackend authentication failed'],
  ])('answers 401 %s', async (_, options, message) => {
    for (const [method, path] of TEAM_ROUTES) {
      const answer = await api.call(method, path, options);
      expect(answer.body, `${method} ${path}`).toEqual({ code: 401, message });
      expect(answer.status).toBe(401);
    }
  });

  it('looks at the key before it looks at the body', async () => {
    const answer = await api.call('POST', '/sandboxes', { key: 'e2b_nothex', raw: '{' });
    expect(answer.status).toBe(401);
  });
});

describe('a key revoked on the command line', () => {
  it('is refused within 5 s, however busy it is, and the team’s other keys go on', async () => {
    const made = JSON.parse(await islet('keys', 'create', '--name', 'doomed', '--json', ...where)) as {
      id: string;
      key: string;
    };
    const use = () => api.call('GET', '/sandboxes', { key: made.key });
    expect((await use()).status).toBe(200);
    await islet('keys', 'revoke', made.id, ...where);
    const refused = await until('the revoked key is refused', 5_000, use, ({ status }) => status !== 200);
    expect(refused).toMatchObject({
      status: 401,
      body: { code: 401, message: `${KEY_TEXT}Cannot get the team for the given API key` },
    });
    expect((await api.call('GET', '/sandboxes')).status).toBe(200);
  });
});

interface ApiKeyBody {
  id: string;
  name: string;
  key?: string;
  mask: { prefix: string; valueLength: number; maskedValuePrefix: string; maskedValueSuffix: string };
  createdAt: string;
  lastUsed: string | null;
}

describe('API keys of a user', () => {
  it('are made, shown once, renamed and deleted with effect on the next request', async () => {
    const made = await api.call<ApiKeyBody>('POST', '/api-keys', { ...asUser(), body: { name: 'ci' } });
    expect(made.status).toBe(201);
    const { id, key = '', mask } = made.body;
    expect(key).toMatch(/^e2b_[0-9a-f]{40}$/);
    expect(mask).toEqual({
      prefix: 'e2b_',
      valueLength: 40,
      maskedValuePrefix: key.slice(4, 6),
      maskedValueSuffix: key.slice(-4),
    });
    expect((await api.call('GET', '/sandboxes', { key })).status).toBe(200);

    const renamed = await api.call('PATCH', `/api-keys/${id}`, { ...asUser(), body: { name: 'cd' } });
    expect(renamed.status).toBe(202);
    const { body: list } = await api.call<ApiKeyBody[]>('GET', '/api-keys', asUser());
    expect(list.find((row) => row.id === id)).toMatchObject({ name: 'cd', mask });
    expect(JSON.stringify(list)).not.toContain(key);

    expect((await api.call('DELETE', `/api-keys/${id}`, asUser())).status).toBe(204);
    expect((await afterDeletion(() => api.call('GET', '/sandboxes', { key }))).status).toBe(401);
    expect((await api.call('DELETE', `/api-keys/${id}`, asUser())).status).toBe(404);
  });

  it.each([
    ['POST', '/api-keys', {}, 400, /^validation error: /],
    ['POST', '/api-keys', { name: 7 }, 400, /^validation error: /],
    ['PATCH', '/api-keys/not-a-uuid', { name: 'x' }, 400, /not-a-uuid/],
    ['PATCH', `/api-keys/${crypto.randomUUID()}`, { name: 'x' }, 404, /not found/],
    ['DELETE', '/api-keys/not-a-uuid', undefined, 400, /not-a-uuid/],
    ['DELETE', `/api-keys/${crypto.randomUUID()}`, undefined, 404, /not found/],
  ] as const)('refuse %s %s %j with %i', async (method, path, body, status, message) => {
    const answer = await api.call(method, path, { ...asUser(), ...(body && { body }) });
    expect(answer).toMatchObject({ status, body: { code: status, message: expect.stringMatching(message) } });
  });
});

describe('access tokens', () => {
  it('are made and deleted by their user, with effect at once', async () => {
    const made = await api.call<{ id: string; token: string }>('POST', '/access-tokens', {
      ...asUser(),
      body: { name: 'laptop' },
    });
    expect(made).toMatchObject({
      status: 201,
      body: { name: 'laptop', token: expect.stringMatching(/^sk_e2b_[0-9a-f]{40}$/) },
    });
    const { id, token } = made.body;
    expect((await api.call('GET', '/api-keys', asUser(token))).status).toBe(200);
    expect((await api.call('DELETE', `/access-tokens/${id}`, asUser())).status).toBe(204);
    const gone = await afterDeletion(() => api.call('GET', '/api-keys', asUser(token)));
    expect(gone.status).toBe(401);
    expect(gone.body.message).toMatch(TOKEN_TEXT);
    expect((await api.call('DELETE', `/access-tokens/${id}`, asUser())).status).toBe(404);
  });

  it('are refused if they are unknown or no hex', async () => {
    for (const token of [`sk_e2b_${'0'.repeat(40)}`, 'sk_e2b_xyz']) {
      const answer = await api.call('GET', '/teams', asUser(token));
      expect(answer).toMatchObject({ status: 401, body: { code: 401 } });
      expect(answer.body.message.startsWith(TOKEN_TEXT)).toBe(true);
    }
  });
});

describe('teams of a user', () => {
  it('come with a new key each that works', async () => {
    const { status, body } = await api.call<{ name: string; apiKey: string; isDefault: boolean }[]>(
      'GET',
      '/teams',
      asUser(),
    );
    expect(status).toBe(200);
    const [team] = body;
    expect(team).toMatchObject({
      teamID: '0b8a3ded-4489-4722-afd1-1d82e64ec2d5',
      name: 'local-dev team',
      isDefault: true,
    });
    expect((await api.call('GET', '/sandboxes', { key: team?.apiKey ?? '' })).status).toBe(200);
  });

  it('are no business of an API key', async () => {
    const answer = await api.call<ErrorBody>('GET', '/teams');
    expect(answer).toMatchObject({ status: 401, body: { message: 'authorization header is missing' } });
  });
});
