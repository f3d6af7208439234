import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type CallOptions, type ControlPlane, newTeam } from '../setup/control-plane.ts';

const access = inject('islet');
let api: ControlPlane;
let others: ControlPlane;
beforeAll(async () => {
  [api, others] = await Promise.all([newTeam(access, 'Owners'), newTeam(access, 'Strangers')]);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await others[Symbol.asyncDispose]();
});

/** Every route that names one sandbox, with a body that is right. */
const ROUTES: [method: string, path: (id: string) => string, options?: CallOptions][] = [
  ['GET', (id) => `/sandboxes/${id}`],
  ['DELETE', (id) => `/sandboxes/${id}`],
  ['POST', (id) => `/sandboxes/${id}/timeout`, { body: { timeout: 60 } }],
  ['POST', (id) => `/sandboxes/${id}/refreshes`, { body: { duration: 60 } }],
  ['POST', (id) => `/sandboxes/${id}/refreshes`],
  ['POST', (id) => `/sandboxes/${id}/connect`, { body: { timeout: 60 } }],
  ['POST', (id) => `/v2/sandboxes/${id}/connect`, { body: { timeout: 60 } }],
  ['POST', (id) => `/v2/sandboxes/${id}/connect`],
  ['POST', (id) => `/sandboxes/${id}/resume`, { body: { timeout: 60 } }],
  ['POST', (id) => `/sandboxes/${id}/pause`],
  ['POST', (id) => `/sandboxes/${id}/pause`, { body: { memory: true } }],
  ['PUT', (id) => `/sandboxes/${id}/network`, { body: {} }],
];

async function expectOnAllRoutes(
  client: ControlPlane,
  id: string,
  status: number,
  message: string,
): Promise<void> {
  for (const [method, path, options] of ROUTES) {
    const answer = await client.call(method, path(id), options);
    expect({ status: answer.status, body: answer.body }, `${method} ${path(id)}`).toEqual({
      status,
      body: { code: status, message },
    });
  }
}

const notFound = (id: string) => `Sandbox "${id}" doesn't exist or you don't have access to it`;

describe('on every route of a sandbox', () => {
  it('an id that was never given answers 404', async () => {
    await expectOnAllRoutes(api, 'i0123456789abcdefghij', 404, notFound('i0123456789abcdefghij'));
  });

  it('the id of a killed sandbox answers 404, at once', async () => {
    const { sandboxID } = await api.create();
    await api.kill(sandboxID);
    await expectOnAllRoutes(api, sandboxID, 404, notFound(sandboxID));
  });

  it('the id of another team’s sandbox answers 404 as if it were none, and the sandbox lives on', async () => {
    const { sandboxID } = await api.create({ timeout: 120 });
    const end = await api.endOf(sandboxID);
    await expectOnAllRoutes(others, sandboxID, 404, notFound(sandboxID));
    expect(await api.endOf(sandboxID)).toBe(end);
    expect((await api.edge(sandboxID, 49983, '/health')).status).toBe(204);
    await api.kill(sandboxID);
  });

  it.each(['UPPER', 'a_b', 'a-b-c', 'i1-', '-i1', '%20', 'a%00b', '..%2Fnodes', '%C3%A4', 'a'.repeat(200)])(
    'the malformed id %s answers 400',
    async (id) => {
      await expectOnAllRoutes(api, id, 400, 'Invalid sandbox ID');
    },
  );

  it('the legacy form with the client behind it means the same sandbox', async () => {
    const { sandboxID, clientID } = await api.create();
    const legacy = `${sandboxID}-${clientID}`;
    expect(await api.get(legacy)).toMatchObject({ status: 200, body: { sandboxID } });
    expect((await api.call('POST', `/sandboxes/${legacy}/timeout`, { body: { timeout: 60 } })).status).toBe(
      204,
    );
    expect((await api.call('DELETE', `/sandboxes/${legacy}`)).status).toBe(204);
    await expectOnAllRoutes(api, legacy, 404, notFound(sandboxID));
  });
});

describe('two teams', () => {
  it('never see each other’s sandboxes in any list or metric', async () => {
    const mine = await api.create({ metadata: { whose: 'mine' } });
    const theirs = await others.create({ metadata: { whose: 'theirs' } });
    for (const [client, own, foreign] of [
      [api, mine, theirs],
      [others, theirs, mine],
    ] as const) {
      for (const path of [
        '/sandboxes',
        '/v2/sandboxes',
        '/v2/sandboxes?template=base',
        `/v2/sandboxes?metadata=${encodeURIComponent('whose=mine')}`,
        `/v2/sandboxes?metadata=${encodeURIComponent('whose=theirs')}`,
        `/sandboxes/metrics?sandbox_ids=${mine.sandboxID},${theirs.sandboxID}`,
      ]) {
        const { status, text } = await client.call('GET', path);
        expect(status).toBe(200);
        expect(text, path).not.toContain(foreign.sandboxID);
      }
      const list = await client.call('GET', '/v2/sandboxes');
      expect(list.text).toContain(own.sandboxID);
      expect(list.headers['x-total-running']).toBe('1');
      const metrics = await client.call('GET', `/sandboxes/${foreign.sandboxID}/metrics`);
      expect(metrics).toMatchObject({ status: 200, body: [] });
      const logs = await client.call('GET', `/v2/sandboxes/${foreign.sandboxID}/logs`);
      expect(logs).toMatchObject({ status: 200, body: { logs: [] } });
    }
    await api.kill(mine.sandboxID);
    await others.kill(theirs.sandboxID);
  });
});

describe('a refused request', () => {
  it.each([
    ['timeout', {}],
    ['timeout', { timeout: -1 }],
    ['timeout', { timeout: '60' }],
    ['timeout', { timeout: null }],
    ['refreshes', { duration: 3601 }],
    ['refreshes', { duration: -1 }],
    ['connect', {}],
    ['connect', { timeout: -1 }],
    ['connect', { timeout: 1.5 }],
  ])('leaves the sandbox as it was: %s %j', async (action, body) => {
    const { sandboxID } = await api.create({ timeout: 120 });
    const end = await api.endOf(sandboxID);
    const answer = await api.call('POST', `/sandboxes/${sandboxID}/${action}`, { body });
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(answer.body.message).toMatch(/^validation error: /);
    expect(await api.endOf(sandboxID)).toBe(end);
    await api.kill(sandboxID);
  });

  it.each(['/sandboxes', '/v2/sandboxes'])('connects no longer than the tier allows: %s', async (root) => {
    const { sandboxID } = await api.create({ timeout: 120 });
    const end = await api.endOf(sandboxID);
    const answer = await api.call('POST', `${root}/${sandboxID}/connect`, { body: { timeout: 3601 } });
    expect(answer.body).toEqual({ code: 400, message: 'Timeout cannot be greater than 1 hours' });
    expect(await api.endOf(sandboxID)).toBe(end);
    await api.kill(sandboxID);
  });

  it('resumes nothing that runs', async () => {
    const { sandboxID } = await api.create();
    const answer = await api.call('POST', `/sandboxes/${sandboxID}/resume`, { body: {} });
    expect(answer.body).toEqual({ code: 409, message: `Sandbox ${sandboxID} is already running` });
    await api.kill(sandboxID);
  });
});
