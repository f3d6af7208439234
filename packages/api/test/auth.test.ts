import {
  addUserToTeam,
  createApiKey,
  LOCAL_DEV,
  listApiKeys,
  revokeApiKey,
  setTeamStanding,
} from '@islet/db';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_TOKEN, type Harness, startHarness } from './harness.ts';

let api: Harness;
let monotonic = 0;
const base = performance.now();

beforeAll(async () => {
  api = await startHarness({
    clock: { now: () => Date.now(), monotonic: () => performance.now() - base + monotonic },
  });
});
afterAll(() => api.close());

const KEY_TEXT = 'Invalid API key, please visit https://e2b.dev/docs/api-key for more information.\n';
const TOKEN_TEXT = 'Invalid Access token, try to login again by running `e2b auth login`.\n';
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const user = { key: null, headers: bearer(LOCAL_DEV.accessToken) };

describe('a team route', () => {
  it.each([
    [{ key: null }, 'authorization header is missing'],
    [{ key: '' }, 'authorization header is missing'],
    [{ key: 'nonsense' }, 'authorization header is malformed'],
    [{ key: LOCAL_DEV.accessToken }, 'authorization header is malformed'],
    [{ key: 'e2b_xyz' }, `${KEY_TEXT}Invalid API key format`],
    [{ key: 'e2b_0' }, `${KEY_TEXT}Invalid API key format`],
    [{ key: `e2b_${'0'.repeat(40)}` }, `${KEY_TEXT}Cannot get the team for the given API key`],
    [{ key: null, headers: bearer('a.b.c') }, 'Invalid auth provider token.\nBackend authentication failed'],
    [{ key: null, headers: { Authorization: 'Basic abc' } }, 'authorization header is malformed'],
    [{ key: null, headers: bearer(LOCAL_DEV.accessToken) }, 'authorization header is missing'],
    [{ key: 'e2b_xyz', headers: bearer('a.b.c') }, `${KEY_TEXT}Invalid API key format`],
    [
      { key: null, headers: { 'X-Admin-Token': 'wrong', 'X-Team-ID': LOCAL_DEV.teamId } },
      'Invalid Access token.\nInvalid Access token.',
    ],
  ])('answers %j with 401', async (options, message) => {
    const answer = await api.call('GET', '/v2/sandboxes', options);
    expect(answer).toMatchObject({ status: 401, body: { code: 401, message } });
  });

  it('takes the key in any case of header and digits', async () => {
    const key = LOCAL_DEV.apiKey.replace('e2b_', '').toUpperCase();
    expect((await api.call('GET', '/sandboxes', { key: `e2b_${key}` })).status).toBe(200);
    const headers = { 'x-api-key': LOCAL_DEV.apiKey };
    expect((await api.call('GET', '/sandboxes', { key: null, headers })).status).toBe(200);
  });

  it('lets the operator act as a team', async () => {
    const headers = (teamId: string) => ({ 'X-Admin-Token': ADMIN_TOKEN, 'X-Team-ID': teamId });
    const as = (teamId: string) => api.call('GET', '/sandboxes', { key: null, headers: headers(teamId) });
    expect((await as(LOCAL_DEV.teamId)).status).toBe(200);
    expect((await as(crypto.randomUUID())).status).toBe(404);
    expect((await as('x')).status).toBe(404);
  });

  it('asks who calls before it looks at what is called', async () => {
    const answer = await api.call('POST', '/sandboxes', { key: 'e2b_xyz', raw: '{' });
    expect(answer.status).toBe(401);
  });
});

describe('standing', () => {
  it('refuses a banned team everything', async () => {
    const team = await api.team('banned');
    await setTeamStanding(api.db, team.id, { isBanned: true });
    const answer = await api.call('GET', '/sandboxes', { key: team.key });
    expect(answer).toMatchObject({ status: 403, body: { code: 403, message: 'team is banned' } });
  });

  it('lets a blocked team read and clean up only', async () => {
    const team = await api.team('blocked');
    const { key } = team;
    const { body } = await api.call('POST', '/sandboxes', { key, body: { templateID: 'base' } });
    await setTeamStanding(api.db, team.id, { isBlocked: true, blockedReason: 'unpaid bill' });
    monotonic += 5000;
    const path = `/sandboxes/${body.sandboxID}`;
    const refused = await api.call('POST', '/sandboxes', { key, body: { templateID: 'base' } });
    expect(refused).toMatchObject({ status: 403, body: { message: 'team is blocked: unpaid bill' } });
    expect((await api.call('POST', `${path}/timeout`, { key, body: { timeout: 9 } })).status).toBe(403);
    expect((await api.call('GET', path, { key })).status).toBe(200);
    expect((await api.call('GET', '/templates', { key })).status).toBe(200);
    expect((await api.call('DELETE', path, { key })).status).toBe(204);
  });
});

describe('revocation', () => {
  it('through the API refuses the very next request', async () => {
    const made = await api.call('POST', '/api-keys', { ...user, body: { name: 'short-lived' } });
    const { key, id } = made.body;
    expect((await api.call('GET', '/sandboxes', { key })).status).toBe(200);
    expect((await api.call('DELETE', `/api-keys/${id}`, user)).status).toBe(204);
    expect((await api.call('GET', '/sandboxes', { key })).status).toBe(401);
  });

  it('behind the API’s back refuses after five seconds, however busy the key is', async () => {
    const { key, id } = await createApiKey(api.db, { teamId: LOCAL_DEV.teamId, name: 'elsewhere' });
    expect((await api.call('GET', '/sandboxes', { key })).status).toBe(200);
    await revokeApiKey(api.db, id);
    for (let i = 0; i < 4; i++) {
      monotonic += 1250;
      await api.call('GET', '/sandboxes', { key });
    }
    expect((await api.call('GET', '/sandboxes', { key })).status).toBe(401);
  });
});

describe('api keys', () => {
  it('are made, listed without their text, renamed and deleted by a user’s access token', async () => {
    const made = await api.call('POST', '/api-keys', { ...user, body: { name: 'ci' } });
    expect(made).toMatchObject({
      status: 201,
      body: {
        name: 'ci',
        key: expect.stringMatching(/^e2b_[0-9a-f]{40}$/),
        mask: { prefix: 'e2b_', valueLength: 40 },
        createdBy: { id: LOCAL_DEV.userId },
        lastUsed: null,
      },
    });
    const { id, key } = made.body;
    expect(await api.call('PATCH', `/api-keys/${id}`, { ...user, body: { name: 'ci-2' } })).toMatchObject({
      status: 202,
      body: '',
    });
    expect((await api.call('GET', '/sandboxes', { key })).status).toBe(200);
    const listed = async () =>
      (await api.call('GET', '/api-keys', user)).body.find((row: { id: string }) => row.id === id);
    await expect.poll(async () => (await listed()).lastUsed).toEqual(expect.any(String));
    expect(await listed()).toMatchObject({ name: 'ci-2' });
    expect(await listed()).not.toHaveProperty('key');
    await api.call('DELETE', `/api-keys/${id}`, user);
    expect(await api.call('DELETE', `/api-keys/${id}`, user)).toMatchObject({
      status: 404,
      body: { message: 'API key not found' },
    });
  });

  it.each([{}, { name: '' }, { name: 7 }, { name: 'a\u0000b' }, { name: 'x'.repeat(300) }])(
    'refuse the name in %j',
    async (body) => {
      expect((await api.call('POST', '/api-keys', { ...user, body })).status).toBe(400);
    },
  );

  it('are no business of an API key, or of a malformed id', async () => {
    expect((await api.call('GET', '/api-keys')).status).toBe(401);
    expect((await api.call('DELETE', '/api-keys/nope', user)).status).toBe(400);
    expect((await api.call('PATCH', '/api-keys/nope', { ...user, body: { name: 'x' } })).status).toBe(400);
  });

  it('belong to the named team, if the user is in it', async () => {
    const team = await api.team('second-home');
    const headers = { ...user.headers, 'X-Team-ID': team.id };
    expect(await api.call('GET', '/api-keys', { key: null, headers })).toMatchObject({
      status: 403,
      body: { message: 'You are not allowed to access this team' },
    });
    await addUserToTeam(api.db, { userId: LOCAL_DEV.userId, teamId: team.id, isDefault: false });
    const made = await api.call('POST', '/api-keys', { key: null, headers, body: { name: 'x' } });
    expect((await listApiKeys(api.db, team.id)).map(({ id }) => id)).toContain(made.body.id);
    // The default team's list does not show it, and cannot delete it.
    expect((await api.call('DELETE', `/api-keys/${made.body.id}`, user)).status).toBe(404);
  });
});

describe('access tokens', () => {
  it('are made and deleted by their user', async () => {
    const made = await api.call('POST', '/access-tokens', { ...user, body: { name: 'laptop' } });
    expect(made).toMatchObject({
      status: 201,
      body: { token: expect.stringMatching(/^sk_e2b_[0-9a-f]{40}$/) },
    });
    const mine = { key: null, headers: bearer(made.body.token) };
    expect((await api.call('GET', '/api-keys', mine)).status).toBe(200);
    expect((await api.call('DELETE', `/access-tokens/${made.body.id}`, user)).status).toBe(204);
    expect(await api.call('GET', '/api-keys', mine)).toMatchObject({
      status: 401,
      body: { message: `${TOKEN_TEXT}Cannot get the user for the given access token` },
    });
    expect((await api.call('DELETE', `/access-tokens/${made.body.id}`, user)).status).toBe(404);
  });

  it.each([
    ['sk_e2b_zz', `${TOKEN_TEXT}Invalid access token format`],
    ['a.b.c', 'Invalid auth provider token.\nBackend authentication failed'],
  ])('refuse %s', async (token, message) => {
    expect(await api.call('GET', '/teams', { key: null, headers: bearer(token) })).toMatchObject({
      status: 401,
      body: { message },
    });
  });
});

describe('GET /teams', () => {
  it('lists the user’s teams, each with a new key that works', async () => {
    const first = await api.call('GET', '/teams', user);
    expect(first.body[0]).toEqual({
      teamID: LOCAL_DEV.teamId,
      name: 'local-dev team',
      apiKey: expect.stringMatching(/^e2b_[0-9a-f]{40}$/),
      isDefault: true,
    });
    expect((await api.call('GET', '/sandboxes', { key: first.body[0].apiKey })).status).toBe(200);
    const names = (await listApiKeys(api.db, LOCAL_DEV.teamId)).map(({ name }) => name);
    expect(names).toContain('CLI login/configure');
    expect((await api.call('GET', '/teams')).status).toBe(401);
  });
});

describe('admin routes', () => {
  const admin = { key: null, headers: { 'X-Admin-Token': ADMIN_TOKEN } };

  it('want the admin token', async () => {
    for (const options of [{}, { key: null }, { headers: { 'X-Admin-Token': 'x' } }, user]) {
      expect((await api.call('GET', '/nodes', options)).status).toBe(401);
    }
  });

  it('make and delete keys of any team', async () => {
    const team = await api.team('managed');
    const path = `/admin/teams/${team.id}/api-keys`;
    const made = await api.call('POST', path, { ...admin, body: { name: 'a' } });
    expect(made.status).toBe(201);
    expect((await api.call('GET', '/sandboxes', { key: made.body.key })).status).toBe(200);
    expect((await api.call('DELETE', `${path}/${made.body.id}`, admin)).status).toBe(204);
    expect((await api.call('GET', '/sandboxes', { key: made.body.key })).status).toBe(401);
    expect((await api.call('DELETE', `${path}/${made.body.id}`, admin)).status).toBe(404);
    expect(
      (await api.call('POST', '/admin/teams/x/api-keys', { ...admin, body: { name: 'a' } })).status,
    ).toBe(400);
    const nobody = `/admin/teams/${crypto.randomUUID()}/api-keys`;
    expect((await api.call('POST', nobody, { ...admin, body: { name: 'a' } })).status).toBe(404);
    await setTeamStanding(api.db, team.id, { isBlocked: true });
    expect((await api.call('POST', path, { ...admin, body: { name: 'a' } })).status).toBe(403);
  });

  it('count and end a team’s sandboxes', async () => {
    const team = await api.team('doomed');
    for (let i = 0; i < 3; i++) {
      await api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base', timeout: 600 } });
    }
    const counts = async () => (await api.call('GET', '/admin/sandboxes/running-counts', admin)).body;
    expect(await counts()).toMatchObject({ [team.id]: 3 });
    const path = `/admin/teams/${team.id}/sandboxes/kill`;
    expect((await api.call('POST', path, admin)).body).toEqual({ killedCount: 3, failedCount: 0 });
    expect(await counts()).not.toHaveProperty(team.id);
    expect((await api.call('GET', '/sandboxes', { key: team.key })).body).toEqual([]);
  });

  it('show the node', async () => {
    const list = await api.call('GET', '/nodes', admin);
    const disks = [
      { mountPoint: '/', device: '/dev/vda', filesystemType: 'ext4', usedBytes: 1e9, totalBytes: 9e9 },
    ];
    expect(list.body).toMatchObject([
      { id: 'node-1', status: 'ready', metrics: { cpuCount: 4, disks, snapshotBytes: 5e6 } },
    ]);
    expect((await api.call('GET', '/nodes/node-1', admin)).body).toMatchObject({
      sandboxes: expect.any(Array),
    });
    expect((await api.call('GET', '/nodes/node-2', admin)).status).toBe(404);
  });
});

describe('the well-known key', () => {
  it('takes the well-known token along when it is deleted, which could make new keys', async () => {
    const keys = await listApiKeys(api.db, LOCAL_DEV.teamId);
    const { id } = keys.find(({ name }) => name === LOCAL_DEV.apiKeyName) ?? {};
    expect((await api.call('GET', '/teams', user)).status).toBe(200);
    const spare = await api.call('POST', '/access-tokens', { ...user, body: { name: 'spare' } });
    expect((await api.call('DELETE', `/api-keys/${id}`, user)).status).toBe(204);
    // At once, though both were cached.
    expect((await api.call('GET', '/sandboxes')).status).toBe(401);
    expect((await api.call('GET', '/teams', user)).status).toBe(401);
    expect((await api.call('POST', '/api-keys', { ...user, body: { name: 'again' } })).status).toBe(401);
    const other = { key: null, headers: bearer(spare.body.token) };
    expect((await api.call('GET', '/teams', other)).status).toBe(200);
  });
});
