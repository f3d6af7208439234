import { templateProto } from '@islet/contracts';
import { deleteTemplate, LOCAL_DEV, setProjectLimits } from '@islet/db';
import { Template } from 'e2b';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ADMIN_TOKEN, type Harness, startHarness } from './harness.ts';

let api: Harness;
let other: { id: string; slug: string; key: string };
beforeAll(async () => {
  api = await startHarness();
  other = await api.team('others');
});
afterAll(() => api.close());

const ref = (text: string) => encodeURIComponent(text);
/** Other work on the machine may hold a test up. */
const WAIT = { timeout: 60_000 };
const unique = (name: string) => `${name}-${crypto.randomUUID().slice(0, 8)}`;

interface Asked {
  templateID: string;
  buildID: string;
  name: string;
}

async function ask(over: Record<string, unknown> = {}, key: string = LOCAL_DEV.apiKey): Promise<Asked> {
  const name = String(over.name ?? unique('t'));
  const { status, body } = await api.call('POST', '/v3/templates', { key, body: { ...over, name } });
  expect(status, JSON.stringify(body)).toBe(202);
  return { ...body, name };
}

const start = ({ templateID, buildID }: Asked, recipe: object = { fromImage: 'debian:12' }, headers = {}) =>
  api.call('POST', `/v2/templates/${templateID}/builds/${buildID}`, { body: recipe, headers });

const status = ({ templateID, buildID }: Asked, query = '') =>
  api.call('GET', `/templates/${templateID}/builds/${buildID}/status${query}`);

const untilStatus = (asked: Asked, wanted: string) =>
  vi.waitFor(async () => {
    const { body } = await status(asked);
    expect(body.status).toBe(wanted);
    return body;
  }, WAIT);

async function built(over: Record<string, unknown> = {}): Promise<Asked> {
  const asked = await ask(over);
  expect((await start(asked)).status).toBe(202);
  api.templateManager.ready(asked.buildID);
  await untilStatus(asked, 'ready');
  return asked;
}

describe('asking for a build', () => {
  it('makes a private template under the team’s name, and further builds of it under the same name', async () => {
    const name = unique('made');
    const { body } = await api.call('POST', '/v3/templates', { body: { name: ` ${name.toUpperCase()} ` } });
    expect(body).toEqual({
      templateID: expect.stringMatching(/^[a-z0-9]{20}$/),
      buildID: expect.stringMatching(/^[0-9a-f-]{36}$/),
      public: false,
      aliases: [name],
      names: [`local-dev-team/${name}`],
      tags: ['default'],
    });
    for (const again of [name, `local-dev-team/${name}`, `${name}:default`, body.templateID]) {
      const asked = await ask({ name: again });
      expect(asked.templateID).toBe(body.templateID);
      expect(asked.buildID).not.toBe(body.buildID);
    }
    const shown = await api.call('GET', `/templates/${body.templateID}`);
    expect(shown.body.builds).toHaveLength(5);
    expect(shown.body.builds[0]).toMatchObject({ status: 'waiting', cpuCount: 2, memoryMB: 1024 });
  });

  it('takes tags from the name and beside it, each once', async () => {
    const { body } = await api.call('POST', '/v3/templates', {
      body: { name: `${unique('tags')}:V1`, tags: ['v2', 'v1', 'default'] },
    });
    expect(body.tags).toEqual(['v1', 'v2', 'default']);
  });

  it.each<[object, string]>([
    [{}, 'Name is required'],
    [{ name: ' ' }, 'Name is required'],
    [{ name: 'a b' }, "Invalid name: 'a b' may hold only"],
    [{ name: 'a/b/c' }, "Invalid name: 'a/b/c' is not"],
    [{ name: 'x'.repeat(129) }, 'Invalid name: a name has at most 128 characters'],
    [{ name: 'a:b c' }, "Invalid name: the tag 'b c'"],
    [{ name: 'a', tags: ['b c'] }, "Invalid tag: the tag 'b c'"],
    [{ name: 'a', tags: [crypto.randomUUID()] }, 'Invalid tag: '],
    [{ name: 'others/a' }, "namespace 'others' must match your team 'local-dev-team'"],
    [{ name: 'a', cpuCount: 0 }, 'CPU count must be at least 1'],
    [{ name: 'a', cpuCount: 33 }, 'CPU count must be at most 32'],
    [{ name: 'a', cpuCount: 3 }, 'CPU count must be 1 or an even number'],
    [{ name: 'a', cpuCount: 10 }, "CPU count can't be higher than 8 ("],
    [{ name: 'a', memoryMB: 126 }, 'Memory must be at least 128 MiB'],
    [{ name: 'a', memoryMB: 513 }, 'Memory must be divisible by 2'],
    [{ name: 'a', memoryMB: 8194 }, "Memory can't be higher than 8192 MiB ("],
    [{ name: 'a', minFreeDiskMb: -1 }, 'Free disk must be at least 0 MiB'],
    [{ name: 'a', minFreeDiskMb: 30_000 }, "Free disk can't be higher than 25600 MiB ("],
    [{ name: 'a', cpuCount: '2' }, 'validation error: '],
  ])('refuses %j', async (body, message) => {
    const answer = await api.call('POST', '/v3/templates', { body });
    expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining(message) } });
  });

  it('leaves ids of others and of deleted templates alone', async () => {
    const { templateID } = await ask();
    expect(
      await api.call('POST', '/v3/templates', { key: other.key, body: { name: templateID } }),
    ).toMatchObject({
      status: 409,
      body: { message: `Alias '${templateID}' is already used` },
    });
    expect((await api.call('DELETE', `/templates/${templateID}`)).status).toBe(204);
    expect(await api.call('POST', '/v3/templates', { body: { name: templateID } })).toMatchObject({
      status: 404,
      body: { message: `Template '${templateID}' has been deleted and cannot be rebuilt` },
    });
  });

  it('lets a team’s own name stand before the installation’s', async () => {
    const mine = await ask({ name: 'base' }, other.key);
    expect(mine.templateID).not.toBe(api.baseTemplateId);
    const { body } = await api.call('GET', '/templates/aliases/base', { key: other.key });
    expect(body.templateID).toBe(mine.templateID);
  });

  it('bounds the builds of a team that are under way', async () => {
    const team = await api.team('busy');
    await setProjectLimits(api.db, team.id, { concurrentTemplateBuilds: 2 });
    const first = await ask({}, team.key);
    await ask({}, team.key);
    expect(await api.call('POST', '/v3/templates', { key: team.key, body: { name: 'third' } })).toMatchObject(
      {
        status: 429,
        body: { message: expect.stringContaining('maximum number of concurrent template builds (2)') },
      },
    );
    // It takes the place of one that waits, so it is no third.
    await ask({ name: first.name }, team.key);
  });

  it('answers the calls of older clients', async () => {
    const alias = unique('second');
    const { status, body } = await api.call('POST', '/v2/templates', { body: { alias, cpuCount: 4 } });
    expect(status).toBe(202);
    expect(body).toMatchObject({ aliases: [alias], cpuCount: 4, memoryMB: 1024, buildCount: 1 });
    expect(body).not.toHaveProperty('names');
    const token = { key: null, headers: { Authorization: `Bearer ${LOCAL_DEV.accessToken}` } };
    for (const path of ['/templates', '/templates/x', `/templates/x/builds/${crypto.randomUUID()}`]) {
      const pushed = await api.call('POST', path, { ...token, body: { dockerfile: 'FROM debian' } });
      expect(pushed).toMatchObject({
        status: 410,
        body: { message: expect.stringContaining('Template.build') },
      });
    }
  });
});

describe('starting a build', () => {
  it('hands the recipe over once', async () => {
    const asked = await ask({ cpuCount: 4, memoryMB: 512, minFreeDiskMb: 100 });
    expect((await status(asked)).body).toMatchObject({ status: 'waiting', logEntries: [] });
    const hash = 'a'.repeat(64);
    const answer = await start(asked, {
      fromImage: 'registry.example.org/x:1',
      fromImageRegistry: { type: 'registry', username: 'u', password: 'p' },
      steps: [
        { type: 'COPY', args: ['a', 'b', '', ''], filesHash: hash, force: false, forceUpload: true },
        { type: 'RUN', args: ['true'], filesHash: null, force: true },
      ],
      startCmd: 'serve',
      readyCmd: null,
      force: true,
    });
    expect([answer.status, answer.body]).toEqual([202, '']);
    expect(api.templateManager.builds.get(asked.buildID)?.request).toMatchObject({
      templateId: asked.templateID,
      teamId: LOCAL_DEV.teamId,
      cpuCount: 4,
      memoryMb: 512,
      freeDiskMb: 100,
      source: {
        case: 'image',
        value: {
          reference: 'registry.example.org/x:1',
          credentials: { case: 'basic', value: { username: 'u', password: 'p' } },
        },
      },
      steps: [
        { type: 'COPY', args: ['a', 'b', '', ''], filesHash: hash, force: false },
        { type: 'RUN', args: ['true'], force: true },
      ],
      startCommand: 'serve',
      force: true,
      legacyUser: false,
    });
    expect(api.templateManager.builds.get(asked.buildID)?.request.readyCommand).toBeUndefined();
    expect((await status(asked)).body.status).toBe('building');
    expect(await start(asked)).toMatchObject({
      status: 400,
      body: { message: 'build is not in waiting state' },
    });
  });

  it('tells the builder of SDKs that expect steps to run as root', async () => {
    for (const [agent, legacy] of [
      ['e2b-js-sdk/2.2.9', true],
      ['e2b-python-sdk/1.11.0', true],
      ['e2b-js-sdk/2.3.0 e2b-cli/2.4.0', false],
      ['curl/8', false],
    ] as const) {
      const asked = await ask();
      await start(asked, { fromImage: 'x' }, { 'User-Agent': agent });
      expect(api.templateManager.builds.get(asked.buildID)?.request.legacyUser, agent).toBe(legacy);
    }
  });

  it('builds from other templates', async () => {
    const parent = await built();
    for (const [recipe, buildId] of [
      [{ fromTemplate: parent.name }, parent.buildID],
      [{ fromTemplate: `local-dev-team/${parent.name}:default` }, parent.buildID],
    ] as const) {
      const asked = await ask();
      expect((await start(asked, recipe)).status).toBe(202);
      expect(api.templateManager.builds.get(asked.buildID)?.request.source).toEqual({
        case: 'parentBuildId',
        value: buildId,
      });
    }
  });

  it('fails the build if its source cannot be found', async () => {
    const lost = await ask();
    expect((await start(lost, { fromTemplate: 'unheard-of' })).status).toBe(202);
    expect((await status(lost)).body).toMatchObject({
      status: 'error',
      reason: { step: 'base', message: "template 'unheard-of' not found" },
      logEntries: [
        { level: 'error', message: "Build failed: template 'unheard-of' not found", step: 'base' },
      ],
    });
    expect((await status(lost, '?logsOffset=1')).body.logEntries).toEqual([]);
    for (const [recipe, message] of [
      [{}, 'must specify either fromImage or fromTemplate'],
      [{ fromImage: 'a', fromTemplate: 'b' }, 'cannot specify both fromImage and fromTemplate'],
    ] as const) {
      const asked = await ask();
      expect(await start(asked, recipe)).toMatchObject({
        status: 500,
        body: { message: `Error when starting template build: ${message}` },
      });
      expect((await status(asked)).body).toMatchObject({ status: 'error', reason: { message } });
    }
  });

  it('refuses recipes that are none', async () => {
    const asked = await ask();
    for (const recipe of [
      { fromImage: 'x', steps: [{ args: [] }] },
      { fromImage: 'x', steps: [{ type: 'RUN', args: 'ls' }] },
      { fromImage: 'x', steps: [{ type: 'COPY', filesHash: '../../etc/passwd' }] },
      { fromImage: 'x', fromImageRegistry: { type: 'registry', username: 'u' } },
    ]) {
      expect((await start(asked, recipe)).status, JSON.stringify(recipe)).toBe(400);
    }
    expect((await status(asked)).body.status).toBe('waiting');
  });

  it('is the team’s own affair', async () => {
    const asked = await ask();
    const path = `/v2/templates/${asked.templateID}/builds/${asked.buildID}`;
    const body = { fromImage: 'x' };
    expect((await api.call('POST', path, { key: other.key, body })).status).toBe(403);
    const unknown = `/v2/templates/${asked.templateID}/builds/${crypto.randomUUID()}`;
    expect((await api.call('POST', unknown, { body })).status).toBe(404);
    const foreign = await ask();
    const mixed = `/v2/templates/${foreign.templateID}/builds/${asked.buildID}`;
    expect((await api.call('POST', mixed, { body })).status).toBe(404);
    expect((await api.call('POST', `${path}x`, { body })).body.message).toBe('Invalid build id');
  });

  it('fails the build if the builder does not take it', async () => {
    api.templateManager.failure = new Error('down');
    const asked = await ask();
    expect((await start(asked)).status).toBe(503);
    api.templateManager.failure = undefined;
    expect((await status(asked)).body).toMatchObject({ status: 'error' });
  });

  it('takes the place of builds under the same tags, and of no others', async () => {
    const waiting = await ask();
    const tagged = await ask({ name: `${waiting.name}:v1` });
    const running = await ask({ name: waiting.name });
    expect((await status(waiting)).body).toMatchObject({
      status: 'error',
      reason: { message: 'a newer build of the same template took its place' },
    });
    await start(running);
    await start(tagged);
    const next = await ask({ name: waiting.name });
    expect((await status(running)).body.status).toBe('building');
    await start(next);
    expect((await status(running)).body).toMatchObject({ status: 'error' });
    expect(api.templateManager.cancelled.at(-1)?.buildId).toBe(running.buildID);
    expect((await status(tagged)).body.status).toBe('building');
  });
});

describe('following a build', () => {
  it('makes its template usable when it is ready', async () => {
    const asked = await ask();
    await start(asked);
    const create = () => api.call('POST', '/sandboxes', { body: { templateID: asked.name } });
    expect((await create()).status).toBe(404);
    api.templateManager.ready(asked.buildID);
    await untilStatus(asked, 'ready');
    expect((await create()).status).toBe(201);
    expect(api.node.creates.at(-1)?.config).toMatchObject({
      buildId: asked.buildID,
      templateId: asked.templateID,
      alias: asked.name,
      diskSizeMb: 1234,
      defaultUser: 'someone',
      defaultWorkdir: '/srv',
      cpuCount: 2,
      memoryMb: 1024,
    });
    const [build] = (await api.call('GET', `/templates/${asked.templateID}`)).body.builds;
    expect(build).toMatchObject({ status: 'ready', diskSizeMB: 1234, finishedAt: expect.any(String) });
  });

  it('tells what went wrong, with the step and its warnings', async () => {
    const { LogLevel } = templateProto;
    const asked = await ask();
    await start(asked);
    api.templateManager.log(asked.buildID, 'fine', '1');
    api.templateManager.log(asked.buildID, 'no such file', '2', LogLevel.ERROR);
    api.templateManager.log(asked.buildID, 'look out', '1', LogLevel.WARN);
    api.templateManager.fail(asked.buildID, "failed to run command 'x': exit status 1", '2');
    const body = await untilStatus(asked, 'error');
    expect(body.reason).toEqual({
      message: "failed to run command 'x': exit status 1",
      step: '2',
      logEntries: [{ timestamp: expect.any(String), level: 'error', message: 'no such file', step: '2' }],
    });
    expect((await api.call('POST', '/sandboxes', { body: { templateID: asked.name } })).status).toBe(404);
  });

  it('shows the log by offset, level, time and direction', async () => {
    const asked = await ask();
    await start(asked);
    for (let i = 0; i < 5; i++) {
      const level = i % 2 ? templateProto.LogLevel.DEBUG : templateProto.LogLevel.INFO;
      api.templateManager.log(asked.buildID, `line ${i}`, 'base', level);
    }
    const messages = (entries: { message: string }[]) =>
      entries.map(({ message }) => message.slice(5)).join('');
    const page = async (query: string) => messages((await status(asked, query)).body.logEntries);
    expect(await page('')).toBe('01234');
    expect(await page('?logsOffset=3')).toBe('34');
    expect(await page('?logsOffset=1&limit=2')).toBe('12');
    expect(await page('?level=info')).toBe('024');
    expect(await page('?logsOffset=9')).toBe('');
    expect((await status(asked, '?limit=101')).status).toBe(400);
    const logs = async (query: string) =>
      messages(
        (await api.call('GET', `/templates/${asked.templateID}/builds/${asked.buildID}/logs${query}`)).body
          .logs,
      );
    expect(await logs('')).toBe('01234');
    expect(await logs('?cursor=1002')).toBe('234');
    expect(await logs('?cursor=1002&direction=backward')).toBe('210');
    expect(await logs('?direction=backward&limit=2&level=info')).toBe('42');
    expect(await logs('?limit=2')).toBe('01');
  });

  it('hides builds from other teams', async () => {
    const asked = await ask();
    for (const view of ['status', 'logs']) {
      const path = `/templates/${asked.templateID}/builds/${asked.buildID}/${view}`;
      expect((await api.call('GET', path, { key: other.key })).status).toBe(403);
      const unknown = path.replace(asked.buildID, crypto.randomUUID());
      expect((await api.call('GET', unknown)).status).toBe(400);
      expect((await api.call('GET', path.replace(asked.buildID, 'x'))).body.message).toBe('Invalid build id');
    }
  });

  it('goes on where the connection to the builder was lost', async () => {
    const asked = await ask();
    await start(asked);
    await vi.waitFor(() => expect(api.templateManager.watchers).toBeGreaterThan(0), WAIT);
    api.templateManager.disconnect();
    api.templateManager.ready(asked.buildID);
    await untilStatus(asked, 'ready');
  });

  it('goes on after a restart, fails what the builder never heard of, and frees what was deleted', async () => {
    const first = await startHarness();
    const call = first.call;
    const make = async () => {
      const { body } = await call('POST', '/v3/templates', { body: { name: unique('kept') } });
      await call('POST', `/v2/templates/${body.templateID}/builds/${body.buildID}`, {
        body: { fromImage: 'x' },
      });
      return body as Asked;
    };
    const [kept, lost, deleted] = [await make(), await make(), await make()];
    // As if the process ended in the middle of a deletion.
    await deleteTemplate(first.db, deleted.templateID);
    // A second API over the same database and builder stands for the process after a restart.
    first.templateManager.builds.delete(lost.buildID);
    first.templateManager.disconnect();
    const second = await startHarness({ db: first.db, link: { templates: first.templateManager.client() } });
    first.templateManager.ready(kept.buildID);
    const of = (asked: Asked) =>
      second.call('GET', `/templates/${asked.templateID}/builds/${asked.buildID}/status`);
    await vi.waitFor(async () => expect((await of(kept)).body.status).toBe('ready'), WAIT);
    await vi.waitFor(async () => expect((await of(lost)).body.status).toBe('error'), WAIT);
    expect((await of(lost)).body.reason.message).toContain('build the template again');
    await vi.waitFor(() => expect(first.templateManager.deleted).toEqual([deleted.buildID]), WAIT);
    await second.close();
    await first.close();
  });

  it('cancels and frees the builds of a deleted template', async () => {
    const done = await built();
    const running = await ask({ name: `${done.name}:next` });
    await start(running);
    expect((await api.call('DELETE', `/templates/${done.name}`)).status).toBe(204);
    await vi.waitFor(() => {
      expect(api.templateManager.deleted).toEqual(expect.arrayContaining([done.buildID, running.buildID]));
    }, WAIT);
    expect(api.templateManager.cancelled.map(({ buildId }) => buildId)).toContain(running.buildID);
    expect((await status(running)).status).toBe(400);
  });

  it('ends if the operator cancels a team’s builds', async () => {
    const team = await api.team('cancelled');
    const [waiting, running] = [await ask({}, team.key), await ask({}, team.key)];
    const path = `/v2/templates/${running.templateID}/builds/${running.buildID}`;
    await api.call('POST', path, { key: team.key, body: { fromImage: 'x' } });
    const cancel = () =>
      api.call('POST', `/admin/teams/${team.id}/builds/cancel`, {
        key: null,
        headers: { 'X-Admin-Token': ADMIN_TOKEN },
      });
    expect((await cancel()).body).toEqual({ cancelledCount: 2, failedCount: 0 });
    for (const { templateID, buildID } of [waiting, running]) {
      const seen = await api.call('GET', `/templates/${templateID}/builds/${buildID}/status`, {
        key: team.key,
      });
      expect(seen.body).toMatchObject({
        status: 'error',
        reason: { message: 'the operator cancelled the build' },
      });
    }
    expect((await cancel()).body).toEqual({ cancelledCount: 0, failedCount: 0 });
  });

  it('is what the official SDK expects', async () => {
    const options = { apiKey: LOCAL_DEV.apiKey, apiUrl: api.url };
    const name = unique('sdk');
    const building = await Template.buildInBackground(
      Template().fromImage('x').runCmd('true'),
      name,
      options,
    );
    api.templateManager.log(building.buildId, 'hello', 'base');
    api.templateManager.ready(building.buildId);
    await untilStatus({ templateID: building.templateId, buildID: building.buildId, name }, 'ready');
    const seen = await Template.getBuildStatus(building, options);
    expect(seen.logEntries.map(({ message }) => message)).toEqual(['hello']);
    expect(await Template.exists(name, options)).toBe(true);
    expect(await Template.exists(unique('no'), options)).toBe(false);
  });
});

describe('tags', () => {
  const assign = (target: string, tags: string[], key: string = LOCAL_DEV.apiKey) =>
    api.call('POST', '/templates/tags', { key, body: { target, tags } });
  const remove = (name: string, tags: string[], key: string = LOCAL_DEV.apiKey) =>
    api.call('DELETE', '/templates/tags', { key, body: { name, tags } });
  const create = async (templateID: string) => {
    const { status, body } = await api.call('POST', '/sandboxes', { body: { templateID } });
    return status === 201 ? api.node.creates.at(-1)?.config?.buildId : body.message;
  };

  it('name builds, move, and go', async () => {
    const first = await built();
    expect(await assign(first.name, ['Stable', 'v1', 'v1'])).toMatchObject({
      status: 201,
      body: { tags: ['stable', 'v1'], buildID: first.buildID },
    });
    const second = await built({ name: `${first.name}:v2` });
    expect(await create(`${first.name}:stable`)).toBe(first.buildID);
    expect(await create(first.name)).toBe(first.buildID);
    await assign(`${first.name}:v2`, ['stable']);
    expect(await create(`${first.name}:stable`)).toBe(second.buildID);
    expect((await remove(first.name, ['stable', 'unheard-of'])).status).toBe(204);
    expect(await create(`${first.name}:stable`)).toContain("tag 'stable' does not exist");
    const { body } = await api.call('GET', `/templates/${first.name}/tags`);
    expect(body.map(({ tag }: { tag: string }) => tag)).toEqual(['default', 'v1', 'v2']);
  });

  it('do not move before their build is ready', async () => {
    const first = await built();
    const second = await ask({ name: first.name });
    await start(second);
    expect(await create(first.name)).toBe(first.buildID);
    api.templateManager.ready(second.buildID);
    await untilStatus(second, 'ready');
    expect(await create(first.name)).toBe(second.buildID);
  });

  it('are refused if they cannot be', async () => {
    const { name } = await built();
    expect(await assign(`${name}:v9`, ['x'])).toMatchObject({
      status: 404,
      body: { message: `Template '${name}:v9' with tag 'v9' not found` },
    });
    expect(await assign(name, [])).toMatchObject({
      status: 400,
      body: { message: 'At least one tag is required' },
    });
    expect((await assign(name, [crypto.randomUUID()])).status).toBe(400);
    expect((await assign('base', ['x'], (await api.team('tagger')).key)).status).toBe(403);
    expect((await assign(`local-dev-team/${name}`, ['x'], other.key)).status).toBe(400);
    expect(await remove(name, ['default'])).toMatchObject({
      status: 400,
      body: { message: "Cannot delete the 'default' tag" },
    });
    expect((await remove(`${name}:v1`, ['v1'])).status).toBe(400);
    expect((await remove(ref('no such'), ['v1'])).status).toBe(400);
  });
});
