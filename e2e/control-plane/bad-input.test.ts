import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, type ListedBody, newTeam } from '../setup/control-plane.ts';

/** A team of its own, so that nobody else's sandboxes are in its lists. */
let api: ControlPlane;
beforeAll(async () => {
  api = await newTeam(inject('islet'), 'Fumblers');
});
afterAll(() => api[Symbol.asyncDispose]());

const ROOTS = ['/sandboxes', '/v2/sandboxes'] as const;
const VALIDATION = /^validation error: /;
const PARSING = /^Error when parsing request: /;

describe.each(ROOTS)('POST %s', (root) => {
  // Whatever was refused, no sandbox came of it.
  afterEach(async () => {
    expect((await api.call<ListedBody[]>('GET', '/v2/sandboxes')).body).toEqual([]);
  });

  it.each([
    [{}, VALIDATION],
    [{ templateID: 7 }, VALIDATION],
    [{ templateID: null }, VALIDATION],
    [{ templateID: 'base', timeout: 0 }, 'Timeout must be greater than 0'],
    [{ templateID: 'base', timeout: -1 }, VALIDATION],
    [{ templateID: 'base', timeout: 1.5 }, VALIDATION],
    [{ templateID: 'base', timeout: '60' }, VALIDATION],
    [{ templateID: 'base', timeout: 2 ** 31 }, VALIDATION],
    [{ templateID: 'base', timeout: 3601 }, 'Timeout cannot be greater than 1 hours'],
    [{ templateID: 'base', metadata: { a: 1 } }, VALIDATION],
    [{ templateID: 'base', metadata: 'a=1' }, VALIDATION],
    [{ templateID: 'base', envVars: ['A=1'] }, VALIDATION],
    [{ templateID: 'base', allow_internet_access: 'no' }, VALIDATION],
    [{ templateID: 'base', network: { denyOut: '0.0.0.0/0' } }, VALIDATION],
    [{ templateID: 'base', network: { denyOut: ['example.com'] } }, 'invalid denied CIDR example.com'],
    [{ templateID: 'base', network: { denyOut: ['10.0.0.0/33'] } }, 'invalid denied CIDR 10.0.0.0/33'],
    [{ templateID: 'base', network: { denyOut: ['::'] } }, 'invalid denied CIDR ::'],
    [{ templateID: 'base', network: { allowOut: ['0.0.0.0'] } }, 'invalid allowed address 0.0.0.0'],
    [
      { templateID: 'base', network: { allowOut: ['example.com'] } },
      "When specifying allowed domains in allow out, you must include 'ALL_TRAFFIC' in deny out to block all other traffic.",
    ],
    [
      { templateID: 'base', autoPauseMemory: false },
      'autoPauseMemory=false only applies when autoPause is true.',
    ],
    [
      { templateID: 'base', volumeMounts: [{ name: 'v', path: '/v' }] },
      "invalid mounts:\n\t- volume mount #0: volume 'v' not found",
    ],
    [
      { templateID: 'base', iam: { tokens: { a: { audience: 'x' } } } },
      /^iam\.tokens\.a\.tokenType: only "JWT-SVID"/,
    ],
    [{ templateID: 'base', iam: { tokens: { a: { audience: 'x', tokenType: 'JWT' } } } }, /JWT-SVID/],
  ])('answers %j with 400', async (body, message) => {
    const answer = await api.call('POST', root, { body });
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(answer.body.message).toMatch(message);
  });

  it.each([
    ['no such', 400, /template/i],
    ['no-such-template', 404, "template 'no-such-template' not found"],
    ['base:no-such-tag', 404, "tag 'no-such-tag' does not exist for template"],
    ['somebody/base', 404, "template 'somebody/base' not found"],
    ['aaaaaaaaaaaaaaaaaaaa', 404, "template 'aaaaaaaaaaaaaaaaaaaa' not found"],
    ['../../etc/passwd', 400, /template/i],
    ['base\u0000', 400, /template/i],
    ['', 400, /template/i],
  ] as const)('answers the template %j with %i', async (templateID, status, message) => {
    const answer = await api.call('POST', root, { body: { templateID } });
    expect(answer).toMatchObject({ status, body: { code: status } });
    expect(answer.body.message).toMatch(message);
  });

  it.each(['{', '{"templateID":"base"', '{"templateID":"base",}', 'templateID=base', '\u0000'])(
    'answers a body that is no JSON, %j, with 400',
    async (raw) => {
      const answer = await api.call('POST', root, { raw });
      expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
      expect(answer.body.message).toMatch(PARSING);
    },
  );

  it.each(['[]', '"base"', '7', 'null', ''])(
    'answers a body that is no object, %j, with 400',
    async (raw) => {
      const answer = await api.call('POST', root, { raw });
      expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
      expect(answer.body.message).toMatch(VALIDATION);
    },
  );

  it('answers another content type with 400 and says which it takes', async () => {
    const headers = { 'Content-Type': 'text/plain' };
    const answer = await api.call('POST', root, { raw: '{"templateID":"base"}', headers });
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(answer.body.message).toContain('application/json');
  });

  it('answers 17 MiB with 413 and goes on', async () => {
    const raw = JSON.stringify({ templateID: 'base', metadata: { a: 'x'.repeat(17 * 1024 * 1024) } });
    const answer = await api.call('POST', root, { raw });
    expect(answer).toMatchObject({ status: 413, body: { code: 413 } });
    expect(answer.body.message).toContain('512 KiB');
    expect((await api.call('GET', '/health', { key: null })).status).toBe(200);
  });
});

describe('a create that is right', () => {
  it('takes fields that it does not know', async () => {
    const sandbox = await api.create({ something: { new: true } });
    await api.kill(sandbox.sandboxID);
  });

  it('takes a template by id, in any case, and with its default tag', async () => {
    const first = await api.create({ templateID: ' BASE:default ' });
    const second = await api.create({ templateID: first.templateID });
    expect(second).toMatchObject({ templateID: first.templateID, alias: 'base', clientID: '6532622b' });
    await Promise.all([first, second].map(({ sandboxID }) => api.kill(sandboxID)));
  });

  it('secures what v2 makes, and v1 only if it was asked to', async () => {
    const v1 = await api.create();
    const asked = await api.create({ secure: true });
    const v2 = await api.create({}, '/v2/sandboxes');
    expect(v1.envdAccessToken).toBeUndefined();
    for (const { sandboxID, envdAccessToken } of [asked, v2]) {
      expect(envdAccessToken).toMatch(/^[0-9a-f]{64}$/);
      expect((await api.get(sandboxID)).body).toMatchObject({ envdAccessToken });
      expect((await api.edge(sandboxID, 49983, '/metrics')).status).toBe(401);
    }
    expect((await api.edge(v1.sandboxID, 49983, '/metrics')).status).toBe(200);
    await Promise.all([v1, asked, v2].map(({ sandboxID }) => api.kill(sandboxID)));
  });
});

describe('routes that are not there', () => {
  it.each([
    ['GET', '/'],
    ['PATCH', '/sandboxes'],
    ['GET', '/v3/sandboxes'],
    ['GET', '/../etc/passwd'],
  ])('answer %s %s with 404 in the shape of every error', async (method, path) => {
    const answer = await api.call(method, path);
    expect(answer).toMatchObject({ status: 404, body: { code: 404, message: expect.any(String) } });
  });

  it('answer a path that cannot be decoded with 400', async () => {
    expect(await api.call('GET', '/sandboxes/%zz')).toMatchObject({ status: 400, body: { code: 400 } });
  });
});

describe('GET /health', () => {
  it('needs no key', async () => {
    const answer = await api.call('GET', '/health', { key: null });
    expect(answer).toMatchObject({ status: 200, text: 'Health check successful' });
  });
});
