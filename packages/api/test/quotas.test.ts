import { createClient, createRouterTransport } from '@connectrpc/connect';
import { volumesProto } from '@islet/contracts';
import { type LimitOverrides, LOCAL_DEV, setProjectLimits } from '@islet/db';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type Harness, startHarness } from './harness.ts';

const MIB = 1024 * 1024;

let api: Harness;

beforeAll(async () => {
  const client = createClient(
    volumesProto.Volumes,
    createRouterTransport(({ service }) =>
      service(volumesProto.Volumes, { createVolume: () => ({}), deleteVolume: () => ({}) }),
    ),
  );
  api = await startHarness({ link: { volumes: client }, volumeSizeMb: 64 });
});
afterAll(() => api.close());

/** A client of a new team with these limits. */
async function teamWith(limits: LimitOverrides) {
  const team = await api.team(`quota-${crypto.randomUUID().slice(0, 8)}`);
  await setProjectLimits(api.db, team.id, limits);
  const post = (path: string, body: object = {}) => api.call('POST', path, { key: team.key, body });
  const create = async (fields: object = {}): Promise<string> => {
    const answer = await post('/sandboxes', { templateID: 'base', timeout: 600, ...fields });
    expect(answer.status).toBe(201);
    return answer.body.sandboxID;
  };
  return { ...team, post, create };
}

/** The refusal of a request that would pass a quota: it tells the quota, what is used, the remedy and the option. */
function expectRefused(answer: Answer, quota: string, used: string, flag: string): void {
  expect(answer).toMatchObject({ status: 403, body: { code: 403, error_code: 'quota_exceeded' } });
  expect(answer.body.message).toContain(`quota is ${quota}, of which ${used} are used: `);
  expect(answer.body.message).toContain(`islet teams limit <team> ${flag} <n>`);
}

const statuses = (answers: Answer[]) => answers.map(({ status }) => status).sort();

describe('snapshots', () => {
  it('are as many as the quota says, also where many are taken at once, and more once one is deleted', async () => {
    const { key, post, create } = await teamWith({ maxSnapshots: 2 });
    const id = await create();
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(`/sandboxes/${id}/snapshots`)));
    expect(statuses(answers)).toEqual([201, 201, 403, 403, 403]);
    expectRefused(await post(`/sandboxes/${id}/snapshots`), '2 snapshots', '2', '--snapshots');
    const [kept] = answers.filter(({ status }) => status === 201);
    const [templateId] = kept?.body.snapshotID.split(':') ?? [];
    expect((await api.call('DELETE', `/templates/${templateId}`, { key })).status).toBe(204);
    expect((await post(`/sandboxes/${id}/snapshots`)).status).toBe(201);
  });

  it('under one name count too, and as large as they are', async () => {
    const { post, create } = await teamWith({ maxSnapshotMb: 10 });
    const id = await create();
    api.node.savedBytes = 6 * MIB;
    for (let i = 0; i < 2; i++) {
      expect((await post(`/sandboxes/${id}/snapshots`, { name: 'again' })).status).toBe(201);
    }
    expectRefused(
      await post(`/sandboxes/${id}/snapshots`, { name: 'again' }),
      '10 MiB of snapshots',
      '12 MiB',
      '--snapshots-mb',
    );
  });

  it('that failed take no room', async () => {
    const { post, create } = await teamWith({ maxSnapshots: 1 });
    const id = await create();
    api.node.failure = new Error('disk on fire');
    expect((await post(`/sandboxes/${id}/snapshots`)).status).toBe(500);
    api.node.failure = undefined;
    expect((await post(`/sandboxes/${id}/snapshots`)).status).toBe(201);
  });
});

describe('paused sandboxes', () => {
  it('are as many as the quota says; the one that is refused runs on', async () => {
    const { key, post, create } = await teamWith({ maxPausedSandboxes: 1 });
    const [one, other] = [await create(), await create()];
    expect((await post(`/sandboxes/${one}/pause`)).status).toBe(204);
    expectRefused(await post(`/sandboxes/${other}/pause`), '1 paused sandboxes', '1', '--paused');
    expect((await api.call('GET', `/sandboxes/${other}`, { key })).body.state).toBe('running');
    expect((await post(`/sandboxes/${one}/pause`)).status).toBe(409);
    expect((await api.call('DELETE', `/sandboxes/${one}`, { key })).status).toBe(204);
    expect((await post(`/sandboxes/${other}/pause`)).status).toBe(204);
  });

  it('have their place from the start if they will be paused by themselves', async () => {
    const { key, post, create } = await teamWith({ maxPausedSandboxes: 2 });
    const answers = await Promise.all(
      Array.from({ length: 5 }, () =>
        post('/sandboxes', { templateID: 'base', autoPause: true, timeout: 600 }),
      ),
    );
    expect(statuses(answers)).toEqual([201, 201, 403, 403, 403]);
    const refused = answers.find(({ status }) => status === 403);
    if (refused) expectRefused(refused, '2 paused sandboxes', '2', '--paused');
    const [one] = answers.filter(({ status }) => status === 201).map(({ body }) => body.sandboxID);
    // What was promised is kept, also when it is asked for before its time, and after it was resumed.
    for (let i = 0; i < 2; i++) {
      expect((await post(`/sandboxes/${one}/pause`)).status).toBe(204);
      expect((await post(`/sandboxes/${one}/connect`, { timeout: 600 })).status).toBe(201);
    }
    const plain = await create();
    expect((await post(`/sandboxes/${plain}/pause`)).status).toBe(403);
    expect((await post(`/sandboxes/${one}/fork`, { count: 1 })).status).toBe(403);
    expect((await api.call('DELETE', `/sandboxes/${one}`, { key })).status).toBe(204);
    expect((await post(`/sandboxes/${plain}/pause`)).status).toBe(204);
  });

  it('count as large as their saved states are', async () => {
    const { post, create } = await teamWith({ maxPausedMb: 8 });
    api.node.savedBytes = 8 * MIB;
    const [one, other] = [await create(), await create()];
    expect((await post(`/sandboxes/${one}/pause`)).status).toBe(204);
    expectRefused(
      await post(`/sandboxes/${other}/pause`),
      '8 MiB of paused sandboxes',
      '8 MiB',
      '--paused-mb',
    );
    const promised = await post('/sandboxes', { templateID: 'base', autoPause: true });
    expectRefused(promised, '8 MiB of paused sandboxes', '8 MiB', '--paused-mb');
  });

  it('that did not start give their place back', async () => {
    const { post } = await teamWith({ maxPausedSandboxes: 1 });
    const request = { templateID: 'base', autoPause: true };
    api.node.failure = new Error('no room');
    expect((await post('/sandboxes', request)).status).toBe(500);
    api.node.failure = undefined;
    expect((await post('/sandboxes', request)).status).toBe(201);
  });
});

it('volumes are as many, and as large together, as the quotas say', async () => {
  const { key, post } = await teamWith({ maxVolumes: 2 });
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => post('/volumes', { name })));
  expect(statuses(answers)).toEqual([201, 201, 403, 403]);
  const refused = answers.find(({ status }) => status === 403);
  if (refused) expectRefused(refused, '2 volumes', '2', '--volumes');
  const names = (await api.call('GET', '/volumes', { key })).body.map(({ name }: { name: string }) => name);
  expect(names).toHaveLength(2);
  // A name that is taken is told as such.
  expect((await post('/volumes', { name: names[0] })).status).toBe(400);
  const large = await teamWith({ maxVolumeMb: 100 });
  expect((await large.post('/volumes', { name: 'a' })).status).toBe(201);
  expectRefused(await large.post('/volumes', { name: 'b' }), '100 MiB of volumes', '64 MiB', '--volumes-mb');
});

it('templates are as many as the quota says; those that are there can be built again', async () => {
  const { key, post } = await teamWith({ maxTemplates: 2 });
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => post('/v3/templates', { name })));
  expect(statuses(answers)).toEqual([202, 202, 403, 403]);
  expectRefused(await post('/v2/templates', { alias: 'other' }), '2 templates', '2', '--templates');
  const [first] = answers.filter(({ status }) => status === 202);
  expect((await post('/v3/templates', { name: first?.body.aliases[0] })).status).toBe(202);
  expect((await api.call('DELETE', `/templates/${first?.body.templateID}`, { key })).status).toBe(204);
  expect((await post('/v3/templates', { name: 'other' })).status).toBe(202);
});

it('tags of a template are a thousand, however they come; those that are there can be moved', async () => {
  const { id, slug, post } = await teamWith({});
  await api.template({ teamId: id, namespace: slug, alias: 'tagged' });
  const tagsOf = (from: number, count: number) => Array.from({ length: count }, (_, i) => `v${from + i}`);
  // With `default`, which it has.
  for (let from = 0; from < 900; from += 100) {
    expect((await post('/templates/tags', { target: 'tagged', tags: tagsOf(from, 100) })).status).toBe(201);
  }
  expect((await post('/templates/tags', { target: 'tagged', tags: tagsOf(900, 100) })).status).toBe(403);
  expect((await post('/v3/templates', { name: 'tagged', tags: tagsOf(900, 100) })).status).toBe(403);
  expect((await post('/templates/tags', { target: 'tagged', tags: tagsOf(900, 99) })).status).toBe(201);
  expect(await post('/templates/tags', { target: 'tagged', tags: ['one-more'] })).toMatchObject({
    status: 403,
    body: { error_code: 'quota_exceeded', message: expect.stringContaining('at most 1000 tags') },
  });
  expect((await post('/templates/tags', { target: 'tagged', tags: tagsOf(0, 100) })).status).toBe(201);
});

it('keys of a team are as many as the quota says, whoever makes them', async () => {
  const { id } = await teamWith({ maxApiKeys: 3 });
  const asAdmin = {
    key: null,
    headers: { 'X-Admin-Token': 'admin-secret', 'X-Team-ID': id },
    body: { name: 'more' },
  };
  const answers = await Promise.all(Array.from({ length: 4 }, () => api.call('POST', '/api-keys', asAdmin)));
  expect(statuses(answers)).toEqual([201, 201, 403, 403]);
  const refused = await api.call('POST', `/admin/teams/${id}/api-keys`, asAdmin);
  expectRefused(refused, '3 API keys', '3', '--keys');
});

it('access tokens of a user are a hundred', async () => {
  const request = {
    key: null,
    headers: { Authorization: `Bearer ${LOCAL_DEV.accessToken}` },
    body: { name: 'more' },
  };
  const make = () => api.call('POST', '/access-tokens', request);
  const answers = await Promise.all(Array.from({ length: 105 }, make));
  expect(answers.filter(({ status }) => status === 201).length).toBeLessThan(101);
  expect(await make()).toMatchObject({ status: 403, body: { error_code: 'quota_exceeded' } });
});
