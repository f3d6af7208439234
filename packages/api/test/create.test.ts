import { orchestratorProto } from '@islet/contracts';
import { setProjectLimits } from '@islet/db';
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

describe('create', () => {
  it('answers curl with the least body', async () => {
    const { status, body } = await api.call('POST', '/sandboxes', { body: { templateID: 'base' } });
    expect(status).toBe(201);
    expect(body).toEqual({
      templateID: api.baseTemplateId,
      sandboxID: expect.stringMatching(/^i[a-z0-9]{20}$/),
      clientID: '6532622b',
      envdVersion: '0.6.13',
      alias: 'base',
      trafficAccessToken: null,
      domain: 'islet.localhost:3002',
    });
    expect(api.node.creates.at(-1)?.timeoutMs).toBe(15_000);
  });

  it('secures through v1 what asks for it, and what says nothing if the operator wants that', async () => {
    const secured = await startHarness({ db: api.db, secureByDefault: true });
    try {
      for (const [at, body, isSecured] of [
        [api, {}, false],
        [api, { secure: true }, true],
        [secured, {}, true],
        [secured, { secure: true }, true],
        [secured, { secure: false }, false],
      ] as const) {
        const answer = await at.call('POST', '/sandboxes', { body: { templateID: 'base', ...body } });
        expect(answer.status).toBe(201);
        expect(typeof answer.body.envdAccessToken).toBe(isSecured ? 'string' : 'undefined');
        expect(at.node.creates.at(-1)?.config?.envdAccessToken).toBe(answer.body.envdAccessToken);
      }
      // What needs a secured sandbox has one.
      const network = { allowPublicTraffic: false };
      const hidden = await secured.call('POST', '/sandboxes', { body: { templateID: 'base', network } });
      expect(hidden).toMatchObject({ status: 201, body: { trafficAccessToken: expect.any(String) } });
    } finally {
      await secured.close();
    }
  });

  it('always secures through v2, and gives it five minutes', async () => {
    const { status, body } = await api.call('POST', '/v2/sandboxes', {
      body: { templateID: 'base', secure: false },
    });
    expect(status).toBe(201);
    expect(body.envdAccessToken).toMatch(/^[0-9a-f]{64}$/);
    expect(api.node.creates.at(-1)?.timeoutMs).toBe(300_000);
    const detail = await api.call('GET', `/sandboxes/${body.sandboxID}`);
    expect(detail.body.envdAccessToken).toBe(body.envdAccessToken);
  });

  it('hands everything the client asked for to the node', async () => {
    await api.call('POST', '/sandboxes', {
      body: {
        templateID: 'base',
        timeout: 120,
        secure: true,
        metadata: { user: 'ana' },
        envVars: { A: '1' },
        allow_internet_access: false,
        network: { denyOut: ['0.0.0.0/0'], allowOut: ['1.1.1.1'], allowPublicTraffic: false },
        mcp: null,
        unknownField: { any: 'thing' },
      },
    });
    expect(api.node.creates.at(-1)).toMatchObject({
      timeoutMs: 120_000,
      config: {
        templateId: api.baseTemplateId,
        alias: 'base',
        metadata: { user: 'ana' },
        envVars: { A: '1' },
        trafficAccessToken: expect.stringMatching(/^[0-9a-f]{64}$/),
        egress: { allowInternetAccess: false, denyOut: ['0.0.0.0/0'], allowOut: ['1.1.1.1'] },
        ingress: { allowPublicTraffic: false },
        maxLengthMs: 3_600_000,
        defaultUser: 'user',
        cpuCount: 2,
        memoryMb: 512,
      },
    });
  });

  it.each([
    [{ templateID: 'base', timeout: 0 }, 400, 'Timeout must be greater than 0'],
    [{ templateID: 'base', timeout: 3601 }, 400, 'Timeout cannot be greater than 1 hours'],
    [{ templateID: 'base', timeout: -1 }, 400, 'validation error: body/timeout must be >= 0'],
    [{ templateID: 'base', timeout: '60' }, 400, 'validation error: body/timeout must be integer'],
    [{ templateID: 'base', timeout: 1.5 }, 400, 'validation error: body/timeout must be integer'],
    [{ templateID: 'base', timeout: 1e12 }, 400, 'validation error: body/timeout must be <= 2147483647'],
    [{}, 400, "validation error: body must have required property 'templateID'"],
    [{ templateID: 7 }, 400, 'validation error: body/templateID must be string'],
    [{ templateID: 'base', metadata: { a: 1 } }, 400, 'validation error: body/metadata/a must be string'],
    [{ templateID: 'nothing' }, 404, "template 'nothing' not found"],
    [{ templateID: 'base:v9' }, 404, "tag 'v9' does not exist for template 'base:v9'"],
    [{ templateID: 'a/b/c' }, 400, "Invalid template: 'a/b/c' is not [namespace/]alias[:tag]"],
    [
      { templateID: 'base', autoPauseMemory: false },
      400,
      'autoPauseMemory=false only applies when autoPause is true.',
    ],
    [
      { templateID: 'base', network: { allowPublicTraffic: false } },
      400,
      "You cannot create a sandbox without public access unless you enable secure envd access via 'secure' flag.",
    ],
    [{ templateID: 'base', network: { denyOut: ['example.com'] } }, 400, 'invalid denied CIDR example.com'],
    [
      { templateID: 'base', volumeMounts: [{ name: 'v', path: '/v' }] },
      400,
      'Volume mounts are not enabled.',
    ],
    [
      { templateID: 'base', iam: { tokens: { a: { audience: 'x', tokenType: 'JWT' } } } },
      400,
      'iam.tokens.a.tokenType: only "JWT-SVID" is supported',
    ],
  ])('refuses %j', async (body, status, message) => {
    const before = api.node.creates.length;
    const answer = await api.call('POST', '/sandboxes', { body });
    expect(answer).toMatchObject({ status, body: { code: status, message } });
    expect(api.node.creates).toHaveLength(before);
  });

  it('takes a template by id, by tag default and in any case', async () => {
    for (const templateID of [api.baseTemplateId, 'base:default', ' BASE ']) {
      expect((await api.call('POST', '/sandboxes', { body: { templateID } })).status).toBe(201);
    }
  });

  it('hides a private template of another team, shows a public one by its namespace', async () => {
    const other = await api.team('owner');
    const build = { teamId: other.id, namespace: other.slug };
    const hidden = await api.template({ ...build, alias: 'hidden' });
    await api.template({ ...build, alias: 'shown', public: true });
    const status = async (templateID: string) =>
      (await api.call('POST', '/sandboxes', { body: { templateID } })).status;
    expect(await status(`${other.slug}/hidden`)).toBe(404);
    expect(await status(hidden.templateId)).toBe(404);
    expect(await status(`${other.slug}/shown`)).toBe(201);
    expect(await status('shown')).toBe(404);
  });

  it('refuses a template that is larger than the tier allows', async () => {
    await api.template({ alias: 'large', memoryMb: 16_384 });
    await api.template({ alias: 'wide', cpuCount: 16 });
    const large = await api.call('POST', '/sandboxes', { body: { templateID: 'large' } });
    expect(large).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('higher than 8192 MiB') },
    });
    const wide = await api.call('POST', '/sandboxes', { body: { templateID: 'wide' } });
    expect(wide).toMatchObject({ status: 400, body: { message: expect.stringContaining('higher than 8') } });
  });

  it('admits exactly the limit of 30 creates at once', async () => {
    const team = await api.team('crowd');
    const answers = await Promise.all(
      Array.from({ length: 30 }, () =>
        api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base' } }),
      ),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(20);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(10);
    expect(refused[0]?.body.message).toContain(
      'you have reached the maximum number of concurrent E2B sandboxes (20).',
    );
    for (const { body } of answers.filter(({ status }) => status === 201)) {
      await api.call('DELETE', `/sandboxes/${body.sandboxID}`, { key: team.key });
    }
    const again = await api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base' } });
    expect(again.status).toBe(201);
  });

  it('follows a limit that is raised for one team', async () => {
    const team = await api.team('raised');
    await setProjectLimits(api.db, team.id, { concurrentInstances: 1 });
    const post = () => api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base' } });
    expect((await post()).status).toBe(201);
    expect((await post()).status).toBe(429);
  });

  it('gives a slot back when a create fails, and tells the failure in the known forms', async () => {
    const team = await api.team('failing');
    await setProjectLimits(api.db, team.id, { concurrentInstances: 1 });
    const post = () => api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base' } });
    const { placementFailed, IsletError } = await import('@islet/contracts');
    for (const [failure, status, errorCode] of [
      [placementFailed(503, 'no room', 'sandbox_capacity_unavailable'), 503, 'sandbox_capacity_unavailable'],
      [placementFailed(504, 'slow', 'sandbox_placement_timeout'), 504, 'sandbox_placement_timeout'],
      [new IsletError(503, 'full'), 503, 'sandbox_capacity_unavailable'],
      [new IsletError(503, 'Failed to place sandbox by a word'), 503, 'sandbox_capacity_unavailable'],
      [new Error('secret inner detail'), 500, 'sandbox_create_failed'],
    ] as const) {
      api.node.failure = failure;
      const answer = await post();
      expect(answer).toMatchObject({ status, body: { code: status, error_code: errorCode } });
      expect(answer.body.message).toMatch(/^Failed to place sandbox/);
      expect(answer.body.message).not.toContain('secret');
    }
    api.node.failure = undefined;
    expect((await post()).status).toBe(201);
  });
});

describe('get', () => {
  it('shows all that is known of a sandbox', async () => {
    const id = await create({ timeout: 60, metadata: { a: 'b' } });
    const { status, body } = await api.call('GET', `/sandboxes/${id}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      sandboxID: id,
      templateID: api.baseTemplateId,
      alias: 'base',
      clientID: '6532622b',
      cpuCount: 2,
      memoryMB: 512,
      diskSizeMB: 1500,
      state: 'running',
      envdVersion: '0.6.13',
      allowInternetAccess: null,
      domain: 'islet.localhost:3002',
      metadata: { a: 'b' },
      network: { allowPublicTraffic: true },
      lifecycle: { autoResume: false, onTimeout: 'kill' },
      volumeMounts: [],
    });
    expect(Date.parse(body.endAt) - Date.parse(body.startedAt)).toBe(60_000);
  });

  it('takes the legacy id with the client behind it', async () => {
    const id = await create();
    expect((await api.call('GET', `/sandboxes/${id}-6532622b`)).body.sandboxID).toBe(id);
  });

  it('shows what the node does with it', async () => {
    const id = await create();
    const state = async () => (await api.call('GET', `/sandboxes/${id}`)).body.state;
    api.node.setState(id, SandboxState.SNAPSHOTTING);
    await expect.poll(state).toBe('running');
    api.node.setState(id, SandboxState.PAUSING);
    await expect.poll(state).toBe('paused');
    api.node.setState(id, SandboxState.KILLING);
    await expect.poll(async () => (await api.call('GET', `/sandboxes/${id}`)).status).toBe(404);
  });

  it('forgets a sandbox that ended by itself, and its slot', async () => {
    const team = await api.team('oneslot');
    await setProjectLimits(api.db, team.id, { concurrentInstances: 1 });
    const post = () => api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base' } });
    const { body } = await post();
    api.node.end(body.sandboxID, KillReason.EXITED);
    await expect.poll(async () => (await post()).status).toBe(201);
    expect((await api.call('GET', `/sandboxes/${body.sandboxID}`, { key: team.key })).status).toBe(404);
  });
});
