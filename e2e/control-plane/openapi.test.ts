import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type CallOptions, ControlPlane, newTeam } from '../setup/control-plane.ts';

interface Operation {
  parameters?: { name: string; in: string; required: boolean }[];
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}

interface Document {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
}

const access = inject('islet');
const api = new ControlPlane(access);
const ajv = new Ajv({ strict: false, validateFormats: false });
const user = { key: null, headers: { Authorization: `Bearer ${access.accessToken}` } };

let document: Document;
beforeAll(async () => {
  document = (await api.call<Document>('GET', '/openapi.json', { key: null })).body;
});
afterAll(() => api[Symbol.asyncDispose]());

/** What is wrong with an answer by the document. */
function defects(method: string, route: string, status: number, body: unknown): string[] {
  const operation = document.paths[route]?.[method.toLowerCase()];
  if (!operation) return [`${method} ${route} is not described`];
  const response =
    operation.responses[String(status)] ?? operation.responses[`${Math.trunc(status / 100)}XX`];
  if (!response) return [`${method} ${route} does not say that it may answer ${status}`];
  const schema = response.content?.['application/json']?.schema;
  if (!schema) return body === undefined ? [] : ['a body where none is described'];
  const validate = ajv.compile(schema);
  return validate(body)
    ? []
    : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}

describe('/openapi.json', () => {
  it('describes every route that clients of this version call', () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described).toEqual(
      expect.arrayContaining([
        'GET /health',
        'POST /sandboxes',
        'GET /sandboxes',
        'POST /v2/sandboxes',
        'GET /v2/sandboxes',
        'GET /sandboxes/{sandboxID}',
        'DELETE /sandboxes/{sandboxID}',
        'POST /sandboxes/{sandboxID}/timeout',
        'POST /sandboxes/{sandboxID}/refreshes',
        'POST /sandboxes/{sandboxID}/connect',
        'POST /v2/sandboxes/{sandboxID}/connect',
        'POST /sandboxes/{sandboxID}/pause',
        'POST /sandboxes/{sandboxID}/resume',
        'PUT /sandboxes/{sandboxID}/network',
        'GET /templates',
        'GET /v2/templates',
        'GET /templates/{templateID}',
        'GET /templates/aliases/{alias}',
        'GET /templates/{templateID}/tags',
        'GET /teams',
        'GET /api-keys',
        'POST /api-keys',
        'DELETE /api-keys/{apiKeyID}',
        'POST /access-tokens',
        'DELETE /access-tokens/{accessTokenID}',
      ]),
    );
  });

  it('holds schemas that compile, for every answer of every route', () => {
    for (const operations of Object.values(document.paths)) {
      for (const { responses } of Object.values(operations)) {
        expect(Object.keys(responses).length).toBeGreaterThan(0);
        for (const { content } of Object.values(responses)) {
          for (const { schema } of Object.values(content ?? {})) ajv.compile(schema);
        }
      }
    }
  });

  it('is true: each route answers as it says, well and with an error', async () => {
    const adminToken = (await readFile(join(access.dataDir, 'secrets/admin-token'), 'utf8')).trim();
    const admin = { key: null, headers: { 'X-Admin-Token': adminToken } };
    const guests = await newTeam(access, 'Described');
    const { sandboxID: id, templateID } = await api.create({ secure: true, metadata: { a: 'b' } });
    const key = await api.call<{ id: string }>('POST', '/api-keys', { ...user, body: { name: 'sample' } });
    const token = await api.call<{ id: string }>('POST', '/access-tokens', {
      ...user,
      body: { name: 'sample' },
    });
    const nodes = await api.call<{ id: string }[]>('GET', '/nodes', admin);
    const adminKeys = `/admin/teams/${guests.team.id}/api-keys`;
    const adminKey = await api.call<{ id: string }>('POST', adminKeys, { ...admin, body: { name: 'x' } });
    const sandbox = '/sandboxes/{sandboxID}';
    const built = await api.call<{ templateID: string; buildID: string }>('POST', '/v3/templates', {
      body: { name: 'described' },
    });
    const ofTemplate = '/templates/{templateID}';
    const ofBuild = `${ofTemplate}/builds/{buildID}`;
    const buildPath = `/templates/${built.body.templateID}/builds/${built.body.buildID}`;
    const hash = 'a'.repeat(64);
    const volume = await api.call<{ volumeID: string; token: string }>('POST', '/volumes', {
      body: { name: 'described' },
    });
    const content = `/volumecontent/${volume.body.volumeID}`;
    const holder = { key: null, headers: { Authorization: `Bearer ${volume.body.token}` } };
    const upload = {
      ...holder,
      headers: { ...holder.headers, 'Content-Type': 'application/octet-stream' },
      raw: 'x',
    };

    const webhooks = '/events/webhooks';
    const ofWebhook = `${webhooks}/{webhookID}`;
    const hook = { name: 'described', url: 'https://example.com/', events: ['sandbox.lifecycle.killed'] };
    const webhook = await api.call<{ id: string }>('POST', webhooks, {
      body: { ...hook, signatureSecret: 's'.repeat(32) },
    });
    const webhookPath = `${webhooks}/${webhook.body.id}`;

    const samples: [method: string, route: string, path: string, status: number, options?: CallOptions][] = [
      ['GET', '/sandboxes', '/sandboxes', 200],
      ['GET', '/v2/sandboxes', '/v2/sandboxes', 200],
      ['GET', '/v2/sandboxes', '/v2/sandboxes?limit=0', 400],
      ['POST', '/sandboxes', '/sandboxes', 201, { body: { templateID: 'base' } }],
      ['POST', '/v2/sandboxes', '/v2/sandboxes', 201, { body: { templateID: 'base' } }],
      ['POST', '/sandboxes', '/sandboxes', 401, { key: null, body: { templateID: 'base' } }],
      ['GET', sandbox, `/sandboxes/${id}`, 200],
      ['GET', sandbox, '/sandboxes/iabc', 404],
      ['POST', `${sandbox}/timeout`, `/sandboxes/${id}/timeout`, 204, { body: { timeout: 600 } }],
      ['POST', `${sandbox}/refreshes`, `/sandboxes/${id}/refreshes`, 204],
      ['POST', `${sandbox}/connect`, `/sandboxes/${id}/connect`, 200, { body: { timeout: 60 } }],
      ['POST', `/v2${sandbox}/connect`, `/v2/sandboxes/${id}/connect`, 200],
      ['POST', `${sandbox}/pause`, `/sandboxes/${id}/pause`, 204],
      ['POST', `${sandbox}/pause`, `/sandboxes/${id}/pause`, 409],
      ['POST', `${sandbox}/resume`, `/sandboxes/${id}/resume`, 201, { body: { timeout: 600 } }],
      ['POST', `${sandbox}/resume`, `/sandboxes/${id}/resume`, 409],
      ['PUT', `${sandbox}/network`, `/sandboxes/${id}/network`, 204, { body: {} }],
      ['GET', `${sandbox}/network/verdicts`, `/sandboxes/${id}/network/verdicts`, 200],
      ['GET', `${sandbox}/network/suggestions`, `/sandboxes/${id}/network/suggestions`, 200],
      ['GET', '/secrets', '/secrets', 200],
      ['GET', '/secrets', '/secrets?limit=0', 400],
      ['POST', '/secrets', '/secrets', 201, { body: { name: 'described', value: 'x' } }],
      ['GET', '/secrets/{selector}', '/secrets/described', 200],
      ['POST', '/secrets/{selector}', '/secrets/described', 200, { body: { value: 'y' } }],
      ['DELETE', '/secrets/{selector}', '/secrets/described', 204],
      ['DELETE', '/secrets/{selector}', '/secrets/described', 404],
      ['GET', '/.well-known/openid-configuration', '/.well-known/openid-configuration', 200, { key: null }],
      ['GET', '/.well-known/jwks.json', '/.well-known/jwks.json', 200, { key: null }],
      ['GET', `${sandbox}/metrics`, `/sandboxes/${id}/metrics`, 200],
      ['GET', '/sandboxes/metrics', `/sandboxes/metrics?sandbox_ids=${id}`, 200],
      ['GET', `${sandbox}/logs`, `/sandboxes/${id}/logs`, 200],
      ['GET', `/v2${sandbox}/logs`, `/v2/sandboxes/${id}/logs`, 200],
      ['GET', '/events/sandboxes', '/events/sandboxes', 200],
      ['GET', '/events/sandboxes', '/events/sandboxes?limit=0', 400],
      ['GET', '/events/sandboxes/{sandboxID}', `/events/sandboxes/${id}`, 200],
      ['POST', webhooks, webhooks, 400, { body: { ...hook, signatureSecret: '' } }],
      ['GET', webhooks, webhooks, 200],
      ['GET', ofWebhook, webhookPath, 200],
      ['GET', ofWebhook, `${webhooks}/no-uuid`, 400],
      ['PATCH', ofWebhook, webhookPath, 200, { body: { enabled: false } }],
      ['GET', `${ofWebhook}/deliveries`, `${webhookPath}/deliveries`, 200],
      ['GET', `${ofWebhook}/stats`, `${webhookPath}/stats`, 200],
      ['GET', `${ofWebhook}/owed`, `${webhookPath}/owed`, 200],
      ['POST', `${ofWebhook}/replay`, `${webhookPath}/replay`, 202],
      [
        'POST',
        `${ofWebhook}/deliveries/{eventID}/replay`,
        `${webhookPath}/deliveries/${webhook.body.id}/replay`,
        404,
      ],
      ['DELETE', ofWebhook, webhookPath, 200],
      ['DELETE', ofWebhook, webhookPath, 404],
      ['GET', '/templates', '/templates', 200],
      ['GET', '/v2/templates', '/v2/templates', 200],
      ['GET', '/templates/{templateID}', `/templates/${templateID}`, 200],
      ['PATCH', '/v2/templates/{templateID}', `/v2/templates/${templateID}`, 200, { body: {} }],
      ['PATCH', '/templates/{templateID}', '/templates/unheard-of', 404, { body: {} }],
      ['DELETE', '/templates/{templateID}', '/templates/unheard-of', 404],
      ['GET', '/templates/aliases/{alias}', '/templates/aliases/base', 200],
      ['GET', '/templates/{templateID}/tags', '/templates/base/tags', 200],
      [
        'POST',
        `${sandbox}/snapshots`,
        `/sandboxes/${id}/snapshots`,
        201,
        { body: { name: 'described-too' } },
      ],
      ['GET', '/snapshots', '/snapshots', 200],
      ['DELETE', ofTemplate, '/templates/described-too', 204],
      ['POST', `${sandbox}/fork`, `/sandboxes/${id}/fork`, 400, { body: { count: 0 } }],
      ['POST', '/templates', '/templates', 410, { ...user, body: { dockerfile: 'FROM scratch' } }],
      ['POST', ofTemplate, '/templates/described', 410, { ...user, body: { dockerfile: 'FROM scratch' } }],
      ['POST', ofBuild, buildPath, 410, user],
      ['POST', '/v2/templates', '/v2/templates', 202, { body: { alias: 'described' } }],
      ['POST', `/v2${ofBuild}`, `/v2${buildPath}`, 400, { body: { fromImage: 7 } }],
      ['GET', `${ofBuild}/status`, `${buildPath}/status`, 200],
      ['GET', `${ofBuild}/logs`, `${buildPath}/logs`, 200],
      ['GET', `${ofTemplate}/files/{hash}`, `/templates/described/files/${hash}`, 201],
      ['PUT', '/templates/uploads/{teamID}/{hash}', `/templates/uploads/team/${hash}`, 400, upload],
      ['POST', '/templates/tags', '/templates/tags', 201, { body: { target: 'base', tags: ['described'] } }],
      ['DELETE', '/templates/tags', '/templates/tags', 204, { body: { name: 'base', tags: ['described'] } }],
      ['DELETE', ofTemplate, '/templates/described', 204],
      [
        'POST',
        '/admin/teams/{teamID}/builds/cancel',
        `/admin/teams/${guests.team.id}/builds/cancel`,
        200,
        admin,
      ],
      ['GET', '/volumes', '/volumes', 200],
      ['POST', '/volumes', '/volumes', 400, { body: { name: 'not a name' } }],
      ['GET', '/volumes/{volumeID}', `/volumes/${volume.body.volumeID}`, 200],
      ['POST', '/volumecontent/{volumeID}/dir', `${content}/dir?path=/d`, 201, holder],
      ['GET', '/volumecontent/{volumeID}/dir', `${content}/dir?path=/`, 200, holder],
      ['GET', '/volumecontent/{volumeID}/path', `${content}/path?path=/d`, 200, holder],
      ['PATCH', '/volumecontent/{volumeID}/path', `${content}/path?path=/d`, 200, { ...holder, body: {} }],
      ['DELETE', '/volumecontent/{volumeID}/path', `${content}/path?path=/d`, 204, holder],
      ['PUT', '/volumecontent/{volumeID}/file', `${content}/file?path=/f`, 201, upload],
      ['GET', '/volumecontent/{volumeID}/file', `${content}/file?path=/f`, 200, holder],
      ['GET', '/volumecontent/{volumeID}/file', `${content}/file?path=/none`, 404, holder],
      ['DELETE', '/volumes/{volumeID}', `/volumes/${volume.body.volumeID}`, 204],
      ['GET', '/teams', '/teams', 200, user],
      ['GET', '/teams/{teamID}/metrics', `/teams/${guests.team.id}/metrics`, 200, { key: guests.key }],
      ['GET', '/teams/{teamID}/metrics', `/teams/${guests.team.id}/metrics`, 403],
      ['GET', '/teams/{teamID}/usage', `/teams/${guests.team.id}/usage`, 200, { key: guests.key }],
      [
        'GET',
        '/teams/{teamID}/metrics/max',
        `/teams/${guests.team.id}/metrics/max?metric=concurrent_sandboxes`,
        200,
        { key: guests.key },
      ],
      ['GET', '/api-keys', '/api-keys', 200, user],
      ['PATCH', '/api-keys/{apiKeyID}', `/api-keys/${key.body.id}`, 202, { ...user, body: { name: 'y' } }],
      ['DELETE', '/api-keys/{apiKeyID}', `/api-keys/${key.body.id}`, 204, user],
      ['DELETE', '/access-tokens/{accessTokenID}', `/access-tokens/${token.body.id}`, 204, user],
      ['GET', '/nodes', '/nodes', 200, admin],
      ['GET', '/nodes', '/nodes', 401],
      ['GET', '/nodes/{nodeID}', `/nodes/${nodes.body[0]?.id}`, 200, admin],
      [
        'POST',
        '/nodes/{nodeID}',
        `/nodes/${nodes.body[0]?.id}`,
        204,
        { ...admin, body: { status: 'ready' } },
      ],
      ['POST', '/nodes/{nodeID}', '/nodes/unheard-of', 404, { ...admin, body: { status: 'ready' } }],
      [
        'POST',
        '/nodes/{nodeID}/sandboxes/{sandboxID}/move',
        '/nodes/unheard-of/sandboxes/ia/move',
        404,
        admin,
      ],
      ['GET', '/admin/sandboxes/running-counts', '/admin/sandboxes/running-counts', 200, admin],
      ['DELETE', '/admin/teams/{teamID}/api-keys/{apiKeyID}', `${adminKeys}/${adminKey.body.id}`, 204, admin],
      [
        'POST',
        '/admin/teams/{teamID}/sandboxes/kill',
        `/admin/teams/${guests.team.id}/sandboxes/kill`,
        200,
        admin,
      ],
      ['DELETE', sandbox, `/sandboxes/${id}`, 204],
    ];
    expect(defects('POST', '/v3/templates', built.status, built.body)).toEqual([]);
    expect(defects('POST', '/volumes', volume.status, volume.body)).toEqual([]);
    // On a sandbox of its own: what a fork starts is ended by hand.
    const forked = await api.call<{ sandbox: { sandboxID: string } }[]>('POST', `/sandboxes/${id}/fork`);
    await Promise.all(forked.body.map(({ sandbox }) => api.kill(sandbox.sandboxID)));
    expect(defects('POST', `${sandbox}/fork`, forked.status, forked.body)).toEqual([]);
    expect(defects('POST', webhooks, webhook.status, webhook.body)).toEqual([]);
    expect(defects('POST', '/api-keys', key.status, key.body)).toEqual([]);
    expect(defects('POST', '/access-tokens', token.status, token.body)).toEqual([]);
    expect(defects('POST', '/admin/teams/{teamID}/api-keys', adminKey.status, adminKey.body)).toEqual([]);
    for (const [method, route, path, status, options] of samples) {
      const answer = await api.call<unknown>(method, path, options);
      expect(answer.status, `${method} ${path}: ${answer.text}`).toBe(status);
      expect(defects(method, route, status, answer.body), `${method} ${path}`).toEqual([]);
    }

    const sampled = new Set([
      ...samples.map(([method, route]) => `${method} ${route}`),
      'GET /health',
      'POST /api-keys',
      'POST /access-tokens',
      'POST /events/webhooks',
      'POST /admin/teams/{teamID}/api-keys',
      'POST /v3/templates',
    ]);
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.filter((route) => !sampled.has(route))).toEqual([]);
  });
});
