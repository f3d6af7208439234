import { LOCAL_DEV } from '@islet/db';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

let api: Harness;
let other: { id: string; slug: string; key: string };
beforeAll(async () => {
  api = await startHarness();
  other = await api.team('others');
});
afterAll(() => api.close());

const token = { key: null, headers: { Authorization: `Bearer ${LOCAL_DEV.accessToken}` } };
const ref = (text: string) => encodeURIComponent(text);

describe('reading', () => {
  it('lists the team’s templates in full', async () => {
    const { body } = await api.call('GET', '/templates');
    expect(body).toEqual([
      {
        templateID: api.baseTemplateId,
        buildID: expect.stringMatching(/^[0-9a-f-]{36}$/),
        cpuCount: 2,
        memoryMB: 512,
        diskSizeMB: 1500,
        public: true,
        aliases: ['base'],
        names: ['base'],
        createdAt: expect.any(String),
        updatedAt: expect.any(String),
        createdBy: null,
        lastSpawnedAt: null,
        spawnCount: 0,
        buildCount: 1,
        envdVersion: '0.6.13',
        buildStatus: 'ready',
      },
    ]);
    expect((await api.call('GET', '/templates', { key: other.key })).body).toEqual([]);
    expect((await api.call('GET', '/templates', token)).body).toEqual(body);
  });

  it('wants the key’s own team if one is named', async () => {
    expect((await api.call('GET', `/templates?teamID=${LOCAL_DEV.teamId}`)).status).toBe(200);
    expect(await api.call('GET', `/templates?teamID=${other.id}`)).toMatchObject({
      status: 400,
      body: { message: 'Team ID param mismatch with the API key' },
    });
    expect((await api.call('GET', `/templates?teamID=${other.id}`, token)).status).toBe(403);
  });

  it('pages', async () => {
    const { key, id, slug } = await api.team('pager');
    const made: string[] = [];
    for (let i = 0; i < 3; i++) {
      made.unshift((await api.template({ teamId: id, namespace: slug })).templateId);
    }
    const seen: string[] = [];
    let next = '';
    do {
      const query = next && `&nextToken=${ref(next)}`;
      const { body, headers } = await api.call('GET', `/v2/templates?limit=1${query}`, { key });
      seen.push(...body.map((row: { templateID: string }) => row.templateID));
      next = headers.get('x-next-token') ?? '';
    } while (next);
    expect(seen).toHaveLength(3);
    expect(new Set(seen)).toEqual(new Set(made));
  });

  it('shows one with its builds, by raw id only', async () => {
    const build = await api.template({});
    await api.template({ ...build, buildId: crypto.randomUUID() });
    const { body } = await api.call('GET', `/templates/${build.templateId}`);
    expect(body).toMatchObject({ templateID: build.templateId, names: [`local-dev-team/${build.alias}`] });
    expect(body.builds).toHaveLength(2);
    expect(body.builds[0]).toMatchObject({ status: 'ready', diskSizeMB: 1500, envdVersion: '0.6.13' });
    const first = await api.call('GET', `/templates/${build.templateId}?limit=1`);
    const next = ref(first.headers.get('x-next-token') ?? '');
    const second = await api.call('GET', `/templates/${build.templateId}?limit=1&nextToken=${next}`);
    expect([...first.body.builds, ...second.body.builds]).toHaveLength(2);
    expect(await api.call('GET', '/templates/base')).toMatchObject({
      status: 404,
      body: { message: 'Template base not found' },
    });
    expect((await api.call('GET', `/templates/${build.templateId}`, { key: other.key })).status).toBe(403);
    expect((await api.call('GET', '/templates/a%00b')).status).toBe(404);
  });

  it('finds aliases: own, global, by namespace; never others’', async () => {
    const build = await api.template({ alias: 'mine' });
    const alias = (text: string, key: string = LOCAL_DEV.apiKey) =>
      api.call('GET', `/templates/aliases/${ref(text)}`, { key });
    expect((await alias('base')).body).toEqual({ templateID: api.baseTemplateId, public: true });
    expect((await alias('mine')).body).toEqual({ templateID: build.templateId, public: false });
    expect((await alias('local-dev-team/mine')).status).toBe(200);
    expect(await alias('local-dev-team/mine', other.key)).toMatchObject({
      status: 400,
      body: { message: "namespace 'local-dev-team' must match your team 'others'" },
    });
    expect(await alias('base', other.key)).toMatchObject({
      status: 403,
      body: { message: "You don't have access to this template alias" },
    });
    expect((await alias('nothing')).status).toBe(404);
    expect((await alias('mine', other.key)).status).toBe(404);
    expect((await alias('a b')).status).toBe(400);
  });

  it('lists tags of a reference that holds slashes and colons', async () => {
    const build = await api.template({ alias: 'tagged' });
    const second = crypto.randomUUID();
    await api.template({ ...build, buildId: second, tag: 'v2' });
    const { body } = await api.call('GET', `/templates/${ref('local-dev-team/tagged:v2')}/tags`);
    expect(body.map((row: { tag: string; buildID: string }) => [row.tag, row.buildID])).toEqual([
      ['default', build.buildId],
      ['v2', second],
    ]);
    const created = await api.call('POST', '/sandboxes', { body: { templateID: 'tagged:v2' } });
    expect(created.status).toBe(201);
    expect(api.node.creates.at(-1)?.config?.buildId).toBe(second);
    expect((await api.call('GET', '/templates/nothing/tags')).status).toBe(404);
  });
});

describe('writing', () => {
  it('publishes and hides, with effect on the next create of another team', async () => {
    const build = await api.template({ alias: 'press' });
    const create = () =>
      api.call('POST', '/sandboxes', { key: other.key, body: { templateID: 'local-dev-team/press' } });
    expect((await create()).status).toBe(404);
    const patch = (body: object, key: string = LOCAL_DEV.apiKey) =>
      api.call('PATCH', `/v2/templates/${build.templateId}`, { key, body });
    expect(await patch({ public: true })).toMatchObject({
      status: 200,
      body: { names: ['local-dev-team/press'] },
    });
    expect((await create()).status).toBe(201);
    expect((await patch({})).status).toBe(200);
    expect((await patch({ public: false }, other.key)).status).toBe(403);
    expect((await create()).status).toBe(201);
    await patch({ public: false });
    expect((await create()).status).toBe(404);
    expect((await api.call('PATCH', '/v2/templates/nothing', { body: {} })).status).toBe(404);
    expect((await patch({ public: 'yes' } as object)).status).toBe(400);
  });

  it('publishes the old way under the bare name too, unless that is taken', async () => {
    const mine = await api.template({ alias: 'famous' });
    const theirs = await api.template({ alias: 'famous', teamId: other.id, namespace: other.slug });
    const patch = (id: string, key: string) =>
      api.call('PATCH', `/templates/${id}`, { key, body: { public: true } });
    expect(await patch(mine.templateId, LOCAL_DEV.apiKey)).toMatchObject({ status: 200, body: null });
    expect(await patch(theirs.templateId, other.key)).toMatchObject({
      status: 409,
      body: { message: "Alias 'famous' is already used" },
    });
    const { key } = await api.team('readers');
    expect((await api.call('POST', '/sandboxes', { key, body: { templateID: 'famous' } })).status).toBe(201);
  });

  it('deletes what nobody uses, and its name with it', async () => {
    const build = await api.template({ alias: 'old' });
    const { body } = await api.call('POST', '/sandboxes', { body: { templateID: 'old' } });
    const drop = (text: string, key: string = LOCAL_DEV.apiKey) =>
      api.call('DELETE', `/templates/${ref(text)}`, { key });
    expect(await drop('old')).toMatchObject({
      status: 400,
      body: {
        message: `cannot delete template '${build.templateId}' because there are running sandboxes using it`,
      },
    });
    await api.call('DELETE', `/sandboxes/${body.sandboxID}`);
    expect((await drop(build.templateId, other.key)).status).toBe(403);
    expect((await drop('old', other.key)).status).toBe(404);
    expect((await drop('local-dev-team/old:default')).status).toBe(204);
    expect((await drop('old')).status).toBe(404);
    expect((await api.call('POST', '/sandboxes', { body: { templateID: 'old' } })).status).toBe(404);
    expect((await api.call('POST', '/sandboxes', { body: { templateID: build.templateId } })).status).toBe(
      404,
    );
  });
});
