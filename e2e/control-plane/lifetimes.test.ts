import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, inject, it } from 'vitest';
import { ControlPlane, type SandboxBody } from '../setup/control-plane.ts';
import { until } from '../setup/until.ts';

const api = new ControlPlane(inject('islet'));
afterAll(() => api[Symbol.asyncDispose]());

const move = (id: string, timeout: number) =>
  api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout } });

/** What a sandbox that has ended answers at the API and at the edge. */
async function expectGone({ sandboxID }: SandboxBody): Promise<void> {
  expect((await api.get(sandboxID)).status).toBe(404);
  expect((await api.call('GET', '/v2/sandboxes')).text).not.toContain(sandboxID);
  for (const port of [49983, 8000]) {
    const answer = await api.edge(sandboxID, port, '/health');
    expect(answer.status).toBe(502);
    expect(answer.body).toEqual({ sandboxId: sandboxID, message: 'The sandbox was not found', code: 502 });
  }
}

describe('the end of a life', () => {
  it('is counted from the start, by the timeout asked for or the default of the version', async () => {
    const made = await Promise.all([
      api.create({ timeout: 77 }),
      api.create({ timeout: undefined }),
      api.create({ timeout: undefined }, '/v2/sandboxes'),
      api.create({ timeout: 3600 }),
    ]);
    const details = await Promise.all(made.map(({ sandboxID }) => api.get(sandboxID)));
    const lengths = details.map(({ body }) => Date.parse(body.endAt) - Date.parse(body.startedAt));
    expect(lengths).toEqual([77_000, 15_000, 300_000, 3_600_000]);
    await Promise.all(made.map(({ sandboxID }) => api.kill(sandboxID)));
  });

  it('comes on time: 404 from the API, 502 from the edge', async () => {
    const sandbox = await api.create({ timeout: 4 });
    const end = await api.endOf(sandbox.sandboxID);
    const alive = await api.get(sandbox.sandboxID);
    expect(Date.now() < end ? alive.status : 200).toBe(200);
    await sleep(Math.max(0, end - Date.now()));
    await until(
      'the sandbox has ended',
      1_000,
      () => api.get(sandbox.sandboxID),
      ({ status }) => status === 404,
    );
    expect(Date.now()).toBeGreaterThanOrEqual(end);
    await expectGone(sandbox);
  });

  it('comes at once with a timeout of 0', async () => {
    const sandbox = await api.create({ timeout: 120 });
    expect((await move(sandbox.sandboxID, 0)).status).toBe(204);
    await until(
      'the sandbox has ended',
      1_000,
      () => api.get(sandbox.sandboxID),
      ({ status }) => status === 404,
    );
    await expectGone(sandbox);
  });

  it('is there when a delete has answered', async () => {
    const sandbox = await api.create();
    expect((await api.call('DELETE', `/sandboxes/${sandbox.sandboxID}`)).status).toBe(204);
    await expectGone(sandbox);
  });

  it('is reached once by many deletes at once', async () => {
    const sandbox = await api.create();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => api.call('DELETE', `/sandboxes/${sandbox.sandboxID}`)),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses).toContain(204);
    expect(statuses.filter((status) => status !== 204 && status !== 404)).toEqual([]);
    await expectGone(sandbox);
  });
});

describe('POST /sandboxes/{id}/timeout', () => {
  it('moves the end both ways, counted from now', async () => {
    const { sandboxID } = await api.create({ timeout: 100 });
    for (const seconds of [1000, 50]) {
      const before = Date.now();
      expect((await move(sandboxID, seconds)).status).toBe(204);
      const end = await api.endOf(sandboxID);
      expect(end).toBeGreaterThanOrEqual(before + seconds * 1000);
      expect(end).toBeLessThanOrEqual(Date.now() + seconds * 1000);
    }
    await api.kill(sandboxID);
  });

  it('never moves it past the tier’s longest life, without an error', async () => {
    const { sandboxID } = await api.create({ timeout: 100 });
    expect((await move(sandboxID, 999_999)).status).toBe(204);
    const { body } = await api.get(sandboxID);
    expect(Date.parse(body.endAt) - Date.parse(body.startedAt)).toBe(3_600_000);
    await api.kill(sandboxID);
  });

  it('keeps a sandbox alive past the end that it had', async () => {
    const { sandboxID } = await api.create({ timeout: 4 });
    const firstEnd = await api.endOf(sandboxID);
    expect((await move(sandboxID, 60)).status).toBe(204);
    await sleep(Math.max(0, firstEnd + 500 - Date.now()));
    expect((await api.get(sandboxID)).status).toBe(200);
    expect((await api.edge(sandboxID, 49983, '/health')).status).toBe(204);
    await api.kill(sandboxID);
  });
});

describe('what only extends', () => {
  it.each([
    ['refreshes', '/sandboxes', 'refreshes', { duration: 30 }, { duration: 3600 }, 204],
    ['connect v1', '/sandboxes', 'connect', { timeout: 30 }, { timeout: 600 }, 200],
    ['connect v1 with 0', '/sandboxes', 'connect', { timeout: 0 }, { timeout: 600 }, 200],
    ['connect v2', '/v2/sandboxes', 'connect', { timeout: 30 }, { timeout: 600 }, 200],
  ])(
    '%s keeps the end to the millisecond where it would shorten',
    async (_, root, action, less, more, status) => {
      const { sandboxID } = await api.create({ timeout: 300 });
      const end = await api.endOf(sandboxID);
      const path = `${root}/${sandboxID}/${action}`;
      expect((await api.call('POST', path, { body: less })).status).toBe(status);
      expect(await api.endOf(sandboxID)).toBe(end);
      expect((await api.call('POST', path, { body: more })).status).toBe(status);
      expect(await api.endOf(sandboxID)).toBeGreaterThan(end);
      await api.kill(sandboxID);
    },
  );

  it('refreshes by 15 s where no duration or a shorter one is given', async () => {
    for (const options of [{}, { body: {} }, { body: { duration: 1 } }]) {
      const { sandboxID } = await api.create({ timeout: 12 });
      const before = Date.now();
      expect((await api.call('POST', `/sandboxes/${sandboxID}/refreshes`, options)).status).toBe(204);
      const end = await api.endOf(sandboxID);
      expect(end).toBeGreaterThanOrEqual(before + 15_000);
      expect(end).toBeLessThanOrEqual(Date.now() + 15_000);
      await api.kill(sandboxID);
    }
  });

  it('connects through v2 without a body, for five minutes', async () => {
    const made = await api.create({ timeout: 60, secure: true });
    const before = Date.now();
    const answer = await api.call<SandboxBody>('POST', `/v2/sandboxes/${made.sandboxID}/connect`);
    expect(answer).toMatchObject({ status: 200, body: made });
    expect(await api.endOf(made.sandboxID)).toBeGreaterThanOrEqual(before + 300_000);
    await api.kill(made.sandboxID);
  });
});
