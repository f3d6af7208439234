import { setProjectLimits } from '@islet/db';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api.close());

const create = async (body: object = {}, key?: string): Promise<string> => {
  const answer = await api.call('POST', '/sandboxes', {
    body: { templateID: 'base', timeout: 60, ...body },
    ...(key ? { key } : {}),
  });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body.sandboxID;
};
const post = (id: string, action: string, body: object = {}, key?: string) =>
  api.call('POST', `/sandboxes/${id}/${action}`, { body, ...(key ? { key } : {}) });
const state = async (id: string) => (await api.call('GET', `/sandboxes/${id}`)).body.state;

describe('pause', () => {
  it('keeps the sandbox, paused, with the time of the pause as its end', async () => {
    const id = await create({ metadata: { kept: 'yes' } });
    expect(await post(id, 'pause')).toMatchObject({ status: 204, body: '' });
    const detail = await api.call('GET', `/sandboxes/${id}`);
    expect(detail.body).toMatchObject({ state: 'paused', domain: null, metadata: { kept: 'yes' } });
    expect(Date.parse(detail.body.endAt)).toBeLessThanOrEqual(Date.now());
    expect(await post(id, 'pause')).toMatchObject({
      status: 409,
      body: { message: `Error pausing sandbox - sandbox '${id}' is already paused` },
    });
    expect((await post(id, 'timeout', { timeout: 60 })).status).toBe(404);
    expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    expect((await post(id, 'resume')).status).toBe(404);
  });

  it('frees a place among the team’s running sandboxes, which a resume needs again', async () => {
    const team = await api.team('paused');
    await setProjectLimits(api.db, team.id, { concurrentInstances: 1 });
    const first = await create({}, team.key);
    await post(first, 'pause', {}, team.key);
    const second = await create({}, team.key);
    expect(await post(first, 'connect', { timeout: 60 }, team.key)).toMatchObject({ status: 429 });
    await api.call('DELETE', `/sandboxes/${second}`, { key: team.key });
    expect(await post(first, 'connect', { timeout: 60 }, team.key)).toMatchObject({ status: 201 });
  });
});

describe('connect and resume', () => {
  it('tell a resumed sandbox from one that ran', async () => {
    const id = await create();
    expect((await post(id, 'connect', { timeout: 60 })).status).toBe(200);
    await post(id, 'pause');
    expect(await post(id, 'connect', { timeout: 60 })).toMatchObject({
      status: 201,
      body: { sandboxID: id },
    });
    expect(await state(id)).toBe('running');
    await post(id, 'pause');
    expect((await api.call('POST', `/v2/sandboxes/${id}/connect`)).status).toBe(201);
    await post(id, 'pause');
    expect((await post(id, 'resume', { timeout: 60 })).status).toBe(201);
    expect(await post(id, 'resume')).toMatchObject({
      status: 409,
      body: { message: `Sandbox ${id} is already running` },
    });
  });

  it('give concurrent callers one resume', async () => {
    const id = await create();
    await post(id, 'pause');
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(id, 'connect', { timeout: 60 })));
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 200, 200, 200, 201]);
  });

  it('bound the new life by the tier', async () => {
    const id = await create();
    await post(id, 'pause');
    expect((await post(id, 'connect', { timeout: 3601 })).status).toBe(400);
    expect((await post(id, 'resume', { timeout: 3601 })).status).toBe(400);
    expect(await state(id)).toBe('paused');
  });
});

describe('waking by traffic', () => {
  const web = { port: 8000, envdAccessToken: undefined, trafficAccessToken: undefined };
  const envd = { ...web, port: 49983 };

  it('starts only what was made to wake', async () => {
    const sleeper = await create();
    await post(sleeper, 'pause');
    expect(await api.wake(sleeper, web)).toEqual({ kind: 'not-found' });
    expect(await api.wake('iunknown', web)).toEqual({ kind: 'not-found' });
    const waker = await create({ autoResume: { enabled: true } });
    await post(waker, 'pause');
    const outcomes = await Promise.all([api.wake(waker, web), api.wake(waker, web)]);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['resumed', 'resumed']);
    expect(await state(waker)).toBe('running');
    const life = Date.parse((await api.call('GET', `/sandboxes/${waker}`)).body.endAt) - Date.now();
    expect(life).toBeGreaterThan(290_000); // five minutes at least, whatever the create said
  });

  it('wants the token of the port', async () => {
    const body = { autoResume: { enabled: true }, secure: true, network: { allowPublicTraffic: false } };
    const made = await api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 60, ...body } });
    const { sandboxID: id, envdAccessToken, trafficAccessToken } = made.body;
    await post(id, 'pause');
    for (const credentials of [
      web,
      envd,
      { ...web, envdAccessToken },
      { ...envd, envdAccessToken: 'wrong' },
    ]) {
      expect(await api.wake(id, credentials)).toEqual({ kind: 'refused' });
    }
    expect(await state(id)).toBe('paused');
    expect(await api.wake(id, { ...envd, envdAccessToken })).toMatchObject({ kind: 'resumed' });
    await post(id, 'pause');
    expect(await api.wake(id, { ...web, trafficAccessToken })).toMatchObject({ kind: 'resumed' });
  });

  it('is refused to a team at its limit, with the limit’s message', async () => {
    const team = await api.team('waking');
    await setProjectLimits(api.db, team.id, { concurrentInstances: 1 });
    const id = await create({ autoResume: { enabled: true } }, team.key);
    await post(id, 'pause', {}, team.key);
    await create({}, team.key);
    const outcome = await api.wake(id, web);
    expect(outcome).toMatchObject({ kind: 'limit-reached' });
    expect(outcome).toHaveProperty('message', expect.stringContaining('maximum number of concurrent'));
  });
});
