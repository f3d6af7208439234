import { orchestratorProto } from '@islet/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

const { KillReason, SandboxState } = orchestratorProto;

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api.close());

beforeEach(async () => {
  api.node.failure = undefined;
  for (const id of [...api.node.sandboxes.keys()]) await api.call('DELETE', `/sandboxes/${id}`);
});

const create = async (body: object = {}): Promise<string> => {
  const answer = await api.call('POST', '/sandboxes', { body: { templateID: 'base', ...body } });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body.sandboxID;
};

describe.each([
  ['GET', '', undefined],
  ['DELETE', '', undefined],
  ['POST', '/timeout', { timeout: 60 }],
  ['POST', '/refreshes', { duration: 60 }],
  ['POST', '/connect', { timeout: 60 }],
  ['POST', '/resume', { timeout: 60 }],
  ['POST', '/pause', {}],
  ['PUT', '/network', {}],
])('%s /sandboxes/{id}%s', (method, suffix, body) => {
  it('does not tell another team’s sandbox from none', async () => {
    const id = await create();
    const stranger = await api.team('stranger');
    const missing = `i${'0'.repeat(20)}`;
    const foreign = await api.call(method, `/sandboxes/${id}${suffix}`, { key: stranger.key, body });
    const unknown = await api.call(method, `/sandboxes/${missing}${suffix}`, { body });
    const message = (each: string) => `Sandbox "${each}" doesn't exist or you don't have access to it`;
    expect(foreign).toMatchObject({ status: 404, body: { code: 404, message: message(id) } });
    expect(unknown).toMatchObject({ status: 404, body: { code: 404, message: message(missing) } });
    expect(api.node.sandboxes.has(id)).toBe(true);
  });

  it.each(['A', 'a-b-c', '%2e%2e%2fx', 'a%00', '%C3%A4', 'a'.repeat(70)])('refuses the id %s', async (id) => {
    const answer = await api.call(method, `/sandboxes/${id}${suffix}`, { body });
    expect(answer).toMatchObject({ status: 400, body: { code: 400, message: 'Invalid sandbox ID' } });
  });

  it('wants a key', async () => {
    const id = await create();
    expect((await api.call(method, `/sandboxes/${id}${suffix}`, { key: null, body })).status).toBe(401);
  });
});

describe('delete', () => {
  it('ends the sandbox once, then does not know it', async () => {
    const id = await create();
    expect(await api.call('DELETE', `/sandboxes/${id}`)).toMatchObject({ status: 204, body: '' });
    expect(api.node.kills.at(-1)).toEqual({ sandboxId: id, reason: KillReason.REQUEST });
    expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(404);
    expect((await api.call('GET', `/sandboxes/${id}`)).status).toBe(404);
  });

  it('counts a sandbox that is gone already as deleted', async () => {
    const id = await create();
    api.node.lose(id);
    expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    expect((await api.call('GET', `/sandboxes/${id}`)).status).toBe(404);
  });

  it('takes a JSON content type without a body', async () => {
    const id = await create();
    const headers = { 'Content-Type': 'application/json' };
    expect((await api.call('DELETE', `/sandboxes/${id}`, { headers })).status).toBe(204);
  });
});

describe('the end of a life', () => {
  const times = async (id: string) => {
    const { body } = await api.call('GET', `/sandboxes/${id}`);
    return { startedAt: Date.parse(body.startedAt), endAt: Date.parse(body.endAt), text: body.endAt };
  };

  it('moves both ways by timeout, within the longest life', async () => {
    const id = await create({ timeout: 300 });
    const before = await times(id);
    expect((await api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 60 } })).status).toBe(204);
    expect((await times(id)).endAt).toBeLessThan(before.endAt);
    expect((await api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 86_400 } })).status).toBe(
      204,
    );
    expect((await times(id)).endAt - before.startedAt).toBe(3_600_000);
  });

  it('ends the sandbox at a timeout of 0', async () => {
    const id = await create();
    expect((await api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 0 } })).status).toBe(204);
    await expect.poll(async () => (await api.call('GET', `/sandboxes/${id}`)).status).toBe(404);
  });

  it.each([[{}], [{ timeout: -1 }], [{ timeout: 'x' }], [{ timeout: null }]])('refuses %j', async (body) => {
    const id = await create();
    const answer = await api.call('POST', `/sandboxes/${id}/timeout`, { body });
    expect(answer).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(/^validation error: .*timeout/) },
    });
  });

  it('is only ever extended by refreshes, by 15 s at least', async () => {
    const id = await create({ timeout: 300 });
    const before = await times(id);
    for (const body of [{ duration: 10 }, {}, undefined]) {
      expect((await api.call('POST', `/sandboxes/${id}/refreshes`, { body })).status).toBe(204);
    }
    expect((await times(id)).text).toBe(before.text);
    await api.call('POST', `/sandboxes/${id}/refreshes`, { body: { duration: 3600 } });
    expect((await times(id)).endAt).toBeGreaterThan(before.endAt);
    const refused = await api.call('POST', `/sandboxes/${id}/refreshes`, { body: { duration: 3601 } });
    expect(refused.status).toBe(400);
  });

  it.each(['/sandboxes', '/v2/sandboxes'])('is only ever extended by connect (%s)', async (root) => {
    const id = await create({ timeout: 600, secure: true });
    const before = await times(id);
    const same = await api.call('POST', `${root}/${id}/connect`, { body: { timeout: 10 } });
    expect(same.status).toBe(200);
    expect(same.body).toMatchObject({ sandboxID: id, envdAccessToken: expect.any(String) });
    expect((await times(id)).text).toBe(before.text);
    await api.call('POST', `${root}/${id}/connect`, { body: { timeout: 1200 } });
    expect((await times(id)).endAt).toBeGreaterThan(before.endAt);
    const refused = await api.call('POST', `${root}/${id}/connect`, { body: { timeout: 3601 } });
    expect(refused).toMatchObject({
      status: 400,
      body: { message: 'Timeout cannot be greater than 1 hours' },
    });
  });

  it('needs no body to connect through v2, but a timeout through v1', async () => {
    const id = await create();
    expect((await api.call('POST', `/v2/sandboxes/${id}/connect`)).status).toBe(200);
    expect((await api.call('POST', `/sandboxes/${id}/connect`)).status).toBe(400);
  });

  it('refuses to resume what runs', async () => {
    const id = await create();
    const answer = await api.call('POST', `/sandboxes/${id}/resume`, { body: { timeout: 60 } });
    expect(answer).toMatchObject({
      status: 409,
      body: { code: 409, message: `Sandbox ${id} is already running` },
    });
  });

  it('is not moved while the sandbox is between two states', async () => {
    const id = await create();
    const move = () => api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 60 } });
    for (const [state, word] of [
      [SandboxState.SNAPSHOTTING, 'snapshotted'],
      [SandboxState.KILLING, 'killed'],
    ] as const) {
      api.node.setState(id, state);
      await expect.poll(async () => (await move()).body.message).toBe(`Sandbox "${id}" is being ${word}`);
      expect((await move()).status).toBe(409);
    }
    // Shown as paused, both are answered as paused.
    for (const state of [SandboxState.PAUSING, SandboxState.PAUSED]) {
      api.node.setState(id, state);
      await expect.poll(async () => (await move()).status).toBe(404);
      expect((await api.call('GET', `/sandboxes/${id}`)).body.state).toBe('paused');
      api.node.setState(id, SandboxState.RUNNING);
      await expect.poll(async () => (await move()).status).toBe(204);
    }
  });
});

describe('network', () => {
  it('replaces the rules, and shows them', async () => {
    const id = await create({ network: { denyOut: ['8.8.8.8'] }, allow_internet_access: false });
    const put = (body: object) => api.call('PUT', `/sandboxes/${id}/network`, { body });
    const shown = async () => (await api.call('GET', `/sandboxes/${id}`)).body;
    expect((await put({ allowOut: ['1.1.1.1'], denyOut: ['0.0.0.0/0'] })).status).toBe(204);
    expect(await shown()).toMatchObject({
      allowInternetAccess: null,
      network: { allowOut: ['1.1.1.1'], denyOut: ['0.0.0.0/0'] },
    });
    expect((await put({})).status).toBe(204);
    expect(await shown()).toMatchObject({ network: { allowOut: [], denyOut: [] } });
  });

  it.each([
    [{ denyOut: ['nope'] }, 400, 'invalid denied CIDR nope'],
    [{ allowOut: ['::'] }, 400, 'invalid allowed address ::'],
    [{ rules: { '1.1.1.1': [{}] } }, 400, 'Rule domain "1.1.1.1" is not a valid domain name.'],
    [
      { egressProxy: { address: '127.0.0.1:1' } },
      400,
      'Invalid egress proxy config: egress proxy endpoint resolves to an internal / denied IP range: 127.0.0.1 resolves to 127.0.0.1',
    ],
  ])('refuses %j', async (body, status, message) => {
    const id = await create();
    expect(await api.call('PUT', `/sandboxes/${id}/network`, { body })).toMatchObject({
      status,
      body: { code: status, message },
    });
  });
});
