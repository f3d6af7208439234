import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ControlPlane, newTeam } from '../setup/control-plane.ts';

interface TemplateBody {
  templateID: string;
  aliases: string[];
  buildID: string;
  spawnCount: number;
  builds: object[];
}

const access = inject('islet');
const api = new ControlPlane(access);
let others: ControlPlane;
let base: TemplateBody;
beforeAll(async () => {
  others = await newTeam(access, 'Guests');
  [base] = (await bases('/templates')) as [TemplateBody];
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await others[Symbol.asyncDispose]();
});

/** Other templates of Islet may have been built. */
async function bases(list: string): Promise<TemplateBody[]> {
  const { status, body } = await api.call<TemplateBody[]>('GET', list);
  expect(status).toBe(200);
  return body.filter(({ aliases }) => aliases.includes('base'));
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

describe('the base template', () => {
  it('is listed in full, in both versions of the list', async () => {
    const shown = {
      templateID: expect.stringMatching(/^[a-z0-9]{20}$/),
      buildID: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      cpuCount: expect.any(Number),
      memoryMB: expect.any(Number),
      diskSizeMB: expect.any(Number),
      public: true,
      aliases: ['base'],
      names: ['base'],
      createdAt: expect.stringMatching(RFC3339),
      updatedAt: expect.stringMatching(RFC3339),
      createdBy: null,
      spawnCount: expect.any(Number),
      buildCount: expect.any(Number),
      envdVersion: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      buildStatus: 'ready',
    };
    for (const path of ['/templates', '/v2/templates']) {
      const listed = await bases(path);
      expect(listed).toEqual([expect.objectContaining(shown)]);
      expect(listed[0]).toHaveProperty('lastSpawnedAt');
    }
  });

  it('is shown with its builds by its raw id, and by nothing else', async () => {
    const { status, body } = await api.call<TemplateBody>('GET', `/templates/${base.templateID}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ templateID: base.templateID, public: true, names: ['base'] });
    expect(body.builds[0]).toMatchObject({
      buildID: base.buildID,
      status: 'ready',
      cpuCount: expect.any(Number),
      memoryMB: expect.any(Number),
    });
    for (const id of ['base', 'aaaaaaaaaaaaaaaaaaaa']) {
      const answer = await api.call('GET', `/templates/${id}`);
      expect(answer.body).toEqual({ code: 404, message: `Template ${id} not found` });
    }
  });

  it('is found by its alias; others are told that it is not theirs', async () => {
    const found = await api.call('GET', '/templates/aliases/base');
    expect(found).toMatchObject({ status: 200, body: { templateID: base.templateID, public: true } });
    expect((await others.call('GET', '/templates/aliases/base')).body).toEqual({
      code: 403,
      message: "You don't have access to this template alias",
    });
    expect(await api.call('GET', '/templates/aliases/unheard-of')).toMatchObject({
      status: 404,
      body: { code: 404 },
    });
  });

  it('has the tag default, by whatever reference it is asked for', async () => {
    for (const reference of ['base', base.templateID, 'base%3Adefault']) {
      const { status, body } = await api.call('GET', `/templates/${reference}/tags`);
      expect({ status, body }, reference).toEqual({
        status: 200,
        body: [{ tag: 'default', buildID: base.buildID, createdAt: expect.stringMatching(RFC3339) }],
      });
    }
    expect(await api.call('GET', '/templates/unheard-of/tags')).toMatchObject({ status: 404 });
  });

  it('starts sandboxes of every team, but is in the list of its own only', async () => {
    const { templateID, sandboxID } = await others.create();
    expect(templateID).toBe(base.templateID);
    expect((await others.call('GET', '/templates')).body).toEqual([]);
    await others.kill(sandboxID);
  });

  it('is changed and deleted by its own team only', async () => {
    for (const [method, path, body] of [
      ['DELETE', `/templates/${base.templateID}`, undefined],
      ['PATCH', `/v2/templates/${base.templateID}`, { public: false }],
      ['PATCH', `/templates/${base.templateID}`, { public: false }],
    ] as const) {
      const answer = await others.call(method, path, body && { body });
      expect(answer, `${method} ${path}`).toMatchObject({ status: 403, body: { code: 403 } });
    }
    expect((await api.call('GET', '/templates/aliases/base')).body).toMatchObject({ public: true });
  });

  it('is not deleted under a running sandbox', async () => {
    const { sandboxID } = await others.create();
    const answer = await api.call('DELETE', `/templates/${base.templateID}`);
    expect(answer.body).toEqual({
      code: 400,
      message: `cannot delete template '${base.templateID}' because there are running sandboxes using it`,
    });
    await others.kill(sandboxID);
  });

  it('wants the key’s own team if one is named', async () => {
    expect((await api.call('GET', `/templates?teamID=${crypto.randomUUID()}`)).body).toEqual({
      code: 400,
      message: 'Team ID param mismatch with the API key',
    });
  });
});
