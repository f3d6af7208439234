import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ControlPlane, newTeam, type SandboxBody } from '../setup/control-plane.ts';
import { islet } from '../setup/instance.ts';
import { until } from '../setup/until.ts';

const access = inject('islet');
const LIMIT = 3;
const MESSAGE = new RegExp(
  `^you have reached the maximum number of concurrent E2B sandboxes \\(${LIMIT}\\)\\. `,
);
let api: Awaited<ReturnType<typeof newTeam>>;
beforeAll(async () => {
  api = await newTeam(access, 'Limited', { sandboxes: LIMIT, hours: 2 });
});
afterAll(() => api[Symbol.asyncDispose]());

const create = (body: object = {}) =>
  api.call<SandboxBody>('POST', '/v2/sandboxes', { body: { templateID: 'base', timeout: 300, ...body } });

async function expectRefused(): Promise<void> {
  const { status, body } = await api.call('POST', '/sandboxes', { body: { templateID: 'base' } });
  expect({ status, body }).toEqual({
    status: 429,
    body: { code: 429, message: expect.stringMatching(MESSAGE) },
  });
}

describe('a team’s limit of sandboxes at once', () => {
  it('admits exactly as many as it says of a burst, and refuses the others with 429', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => create()));
    const admitted = answers.filter(({ status }) => status === 201);
    const refused = answers.filter(({ status }) => status !== 201);
    expect(admitted).toHaveLength(LIMIT);
    for (const { status, body } of refused) {
      expect({ status, body }).toEqual({
        status: 429,
        body: { code: 429, message: expect.stringMatching(MESSAGE) },
      });
    }
    const { headers } = await api.call('GET', '/v2/sandboxes');
    expect(headers['x-total-running']).toBe(String(LIMIT));
    for (const { body } of admitted) {
      expect((await api.edge(body.sandboxID, 49983, '/health')).status).toBe(204);
    }
    await expectRefused();
    await Promise.all(admitted.map(({ body }) => api.kill(body.sandboxID)));
  });

  it('gives the place of a killed sandbox to the next', async () => {
    const made = await Promise.all(Array.from({ length: LIMIT }, () => api.create()));
    await expectRefused();
    await api.kill(made[0]?.sandboxID ?? '');
    made[0] = await api.create();
    await expectRefused();
    await Promise.all(made.map(({ sandboxID }) => api.kill(sandboxID)));
  });

  it('gives the place of a sandbox that timed out to the next', async () => {
    const made = await Promise.all(Array.from({ length: LIMIT }, () => api.create({ timeout: 60 })));
    await expectRefused();
    const [first] = made;
    await api.call('POST', `/sandboxes/${first?.sandboxID}/timeout`, { body: { timeout: 0 } });
    await until('a place is free', 2_000, create, ({ status }) => status === 201);
    await expectRefused();
    await api[Symbol.asyncDispose]();
  });

  it('takes no place for a create that was refused', async () => {
    for (let i = 0; i <= LIMIT; i++) {
      expect((await create({ templateID: 'no-such-template' })).status).toBe(404);
      expect((await create({ timeout: 0 })).status).toBe(400);
    }
    const made = await Promise.all(Array.from({ length: LIMIT }, () => create()));
    expect(made.map(({ status }) => status)).toEqual(Array.from({ length: LIMIT }, () => 201));
    await api[Symbol.asyncDispose]();
  });

  it('is no other team’s', async () => {
    const made = await Promise.all(Array.from({ length: LIMIT }, () => api.create()));
    await expectRefused();
    await using others = new ControlPlane(access);
    await others.create();
    await Promise.all(made.map(({ sandboxID }) => api.kill(sandboxID)));
  });
});

describe('a team’s longest life of a sandbox', () => {
  it('is what its limit says, not the tier', async () => {
    const longest = await create({ timeout: 7200 });
    expect(longest.status).toBe(201);
    const refused = await create({ timeout: 7201 });
    expect(refused).toMatchObject({
      status: 400,
      body: { code: 400, message: 'Timeout cannot be greater than 2 hours' },
    });
    await api.kill(longest.body.sandboxID);
  });
});

describe('a limit set on the command line while Islet runs', () => {
  it('is in force within seconds', async () => {
    const where = ['--json', '--data-dir', access.dataDir];
    const changed = JSON.parse(
      await islet('teams', 'limit', api.team.id, '--sandboxes', String(LIMIT + 1), ...where),
    ) as object;
    expect(changed).toMatchObject({ id: api.team.id, limits: { sandboxes: LIMIT + 1, hours: 2 } });
    const made = await Promise.all(Array.from({ length: LIMIT }, () => api.create({ timeout: 60 })));
    await until('one more is admitted', 5_000, create, ({ status }) => status === 201);
    expect((await create()).status).toBe(429);
    expect(made).toHaveLength(LIMIT);
    await api[Symbol.asyncDispose]();
  });
});
