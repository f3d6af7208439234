import { IsletError, orchestratorProto } from '@islet/contracts';
import { setProjectLimits } from '@islet/db';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

const { SandboxState } = orchestratorProto;

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api.close());

beforeEach(async () => {
  api.node.failure = undefined;
  api.node.gate = undefined;
  for (const id of [...api.node.sandboxes.keys()]) await api.call('DELETE', `/sandboxes/${id}`);
});

const create = async (body: object = {}): Promise<string> => {
  const answer = await api.call('POST', '/sandboxes', { body: { templateID: 'base', ...body } });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body.sandboxID;
};
const snapshot = (id: string, body: object = {}) => api.call('POST', `/sandboxes/${id}/snapshots`, { body });
const list = async (query = '') => {
  const answer = await api.call('GET', `/snapshots${query}`);
  expect(answer.status).toBe(200);
  return answer.body.map(({ snapshotID }: { snapshotID: string }) => snapshotID);
};

describe.each(['/snapshots', '/fork'])('POST /sandboxes/{id}%s', (suffix) => {
  const post = (id: string, options: object = {}) =>
    api.call('POST', `/sandboxes/${id}${suffix}`, { body: {}, ...options });

  it('does not tell another team’s sandbox from none', async () => {
    const id = await create();
    const { key } = await api.team('stranger');
    const message = `Sandbox "${id}" doesn't exist or you don't have access to it`;
    expect(await post(id, { key })).toMatchObject({ status: 404, body: { code: 404, message } });
    expect(await post(`i${'0'.repeat(20)}`)).toMatchObject({ status: 404 });
    expect(await post('A')).toMatchObject({ status: 400, body: { message: 'Invalid sandbox ID' } });
    expect((await post(id, { key: null })).status).toBe(401);
  });

  it.each([
    [SandboxState.PAUSED, 409, /is paused and cannot be (snapshotted|forked); resume it first/],
    [SandboxState.PAUSING, 409, /is paused and cannot be/],
    [SandboxState.SNAPSHOTTING, 409, /is being snapshotted/],
    [SandboxState.KILLING, 404, /doesn't exist/],
  ])('is refused in state %s', async (state, status, message) => {
    const id = await create();
    api.node.setState(id, state);
    const answer = await post(id);
    expect(answer).toMatchObject({ status, body: { message: expect.stringMatching(message) } });
    api.node.setState(id, SandboxState.RUNNING);
  });
});

describe('snapshots', () => {
  it('leaves nothing behind if the node cannot take it', async () => {
    const id = await create();
    const before = (await list()).length;
    api.node.failure = new IsletError(503, 'Error saving sandbox - no room');
    const name = `none-${crypto.randomUUID().slice(0, 8)}`;
    const answer = await snapshot(id, { name });
    expect(answer).toMatchObject({ status: 503, body: { message: 'Error saving sandbox - no room' } });
    api.node.failure = undefined;
    expect(await list()).toHaveLength(before);
    expect(await api.call('GET', `/templates/aliases/${name}`)).toMatchObject({ status: 404 });
    expect((await snapshot(id, { name })).status).toBe(201);
  });

  it('is no template in lists, and frees its node when it is deleted', async () => {
    const id = await create();
    const { snapshotID } = (await snapshot(id)).body;
    const [templateId] = snapshotID.split(':');
    const listed = (await api.call('GET', '/templates')).body;
    expect(listed.map(({ templateID }: { templateID: string }) => templateID)).not.toContain(templateId);
    const build = [...api.node.builds.values()].find((each) => each.templateId === templateId);
    expect(build?.parentBuildId).toBeTruthy();
    const path = `/templates/${encodeURIComponent(snapshotID)}`;
    expect((await api.call('DELETE', path)).status).toBe(204);
    expect(api.node.builds.has(build?.buildId ?? '')).toBe(false);
    expect((await api.call('DELETE', path)).status).toBe(404);
    expect(await list()).not.toContain(snapshotID);
  });

  it('belongs to its team', async () => {
    const { snapshotID } = (await snapshot(await create())).body;
    const { key } = await api.team('other');
    const path = `/templates/${encodeURIComponent(snapshotID)}`;
    expect((await api.call('DELETE', path, { key })).status).toBe(403);
    expect((await api.call('GET', '/snapshots', { key })).body).toEqual([]);
    const body = { templateID: snapshotID };
    expect((await api.call('POST', '/sandboxes', { key, body })).status).toBe(404);
    expect((await api.call('POST', '/sandboxes', { body })).status).toBe(201);
  });

  it.each([
    '?nextToken=x',
    `?nextToken=${Buffer.from('2026-01-01T00:00:00.000Z__abc').toString('base64url')}`,
    '?limit=0',
    '?limit=101',
    '?name=a b',
  ])('refuses the list %s', async (query) => {
    expect(await api.call('GET', `/snapshots${query}`)).toMatchObject({ status: 400, body: { code: 400 } });
  });

  it('is listed page by page without losing one', async () => {
    const id = await create();
    const taken: string[] = [];
    for (let i = 0; i < 5; i++) taken.unshift((await snapshot(id)).body.snapshotID);
    const seen: string[] = [];
    let token: string | null = '';
    while (token !== null) {
      const path = `/snapshots?sandboxID=${id}&limit=2&nextToken=${token}`;
      const page = await api.call('GET', path);
      seen.push(...page.body.map(({ snapshotID }: { snapshotID: string }) => snapshotID));
      token = page.headers.get('X-Next-Token');
    }
    expect(seen).toEqual(taken);
  });
});

describe('fork', () => {
  const fork = (id: string, body: object = {}, key?: string) =>
    api.call('POST', `/sandboxes/${id}/fork`, { body, ...(key && { key }) });

  it('gives each its own id and tokens, and what the original has', async () => {
    const id = await create({
      secure: true,
      metadata: { a: 'b' },
      network: { allowPublicTraffic: false, denyOut: ['8.8.8.8'] },
      autoPause: true,
      timeout: 60,
    });
    const original = (await api.call('GET', `/sandboxes/${id}`)).body;
    const { status, body } = await fork(id, { count: 2, timeout: 100 });
    expect(status).toBe(201);
    expect(body).toHaveLength(2);
    for (const { sandbox } of body) {
      expect(sandbox.sandboxID).not.toBe(id);
      expect(sandbox.envdAccessToken).toMatch(/^[0-9a-f]{64}$/);
      expect(sandbox.envdAccessToken).not.toBe(original.envdAccessToken);
      const detail = (await api.call('GET', `/sandboxes/${sandbox.sandboxID}`)).body;
      for (const field of ['templateID', 'metadata', 'network', 'lifecycle', 'cpuCount', 'alias'])
        expect(detail[field]).toEqual(original[field]);
      expect(Date.parse(detail.endAt) - Date.parse(detail.startedAt)).toBe(100_000);
    }
    expect((await api.call('GET', `/sandboxes/${id}`)).body.endAt).toBe(original.endAt);
  });

  it('fails as a whole if the original cannot be saved, and takes no slot of the team', async () => {
    const id = await create();
    const before = api.node.sandboxes.size;
    for (let i = 0; i < 3; i++) {
      api.node.failure = new IsletError(503, 'Error saving sandbox - no room');
      expect(await fork(id, { count: 10 })).toMatchObject({ status: 503 });
    }
    api.node.failure = undefined;
    expect(api.node.sandboxes.size).toBe(before);
    expect(await fork(id, { count: 3 })).toMatchObject({ status: 201 });
  });

  it('reports those that the team has no place for, and starts the others', async () => {
    const team = await api.team('small');
    await setProjectLimits(api.db, team.id, { concurrentInstances: 3 });
    const created = await api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base' } });
    const id = created.body.sandboxID;
    const tooMany = await fork(id, { count: 3 }, team.key);
    expect(tooMany).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(/lower than.*\(3\)/) },
    });
    expect((await fork(id, { count: 1 }, team.key)).body).toEqual([{ sandbox: expect.anything() }]);
    const { status, body } = await fork(id, { count: 2 }, team.key);
    expect(status).toBe(201);
    expect(body).toEqual([
      { sandbox: expect.anything() },
      { error: { code: 429, message: expect.stringMatching(/maximum number of concurrent/) } },
    ]);
  });

  it.each([
    [{ count: 0 }, /count/],
    [{ count: 101 }, /count/],
    [{ count: 'x' }, /count/],
    [{ timeout: 0 }, /Timeout must be greater than 0/],
    [{ timeout: -1 }, /timeout/],
    [{ timeout: 100 * 3600 }, /Timeout cannot be greater than/],
  ])('refuses %s', async (body, message) => {
    const answer = await fork(await create(), body);
    expect(answer).toMatchObject({ status: 400, body: { message: expect.stringMatching(message) } });
  });
});
