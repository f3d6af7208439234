import { randomUUID } from 'node:crypto';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { IsletError, toConnectError, volumesProto } from '@islet/contracts';
import { LOCAL_DEV } from '@islet/db';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VolumesClient } from '../src/index.ts';
import { createVolumeTokens } from '../src/volumes/token.ts';
import { type Harness, startHarness, TOKEN_SEED } from './harness.ts';

/** A node that has no room for volumes: what the control plane does by itself can be looked at alone. */
function fullNode(): VolumesClient {
  const refuse = () => {
    throw toConnectError(new IsletError(503, 'the disk is full'));
  };
  return createClient(
    volumesProto.Volumes,
    createRouterTransport(({ service }) => {
      service(volumesProto.Volumes, { createVolume: refuse });
    }),
  );
}

describe('an installation without volumes', () => {
  let api: Harness;
  beforeAll(async () => {
    api = await startHarness();
  });
  afterAll(() => api.close());

  it('says so', async () => {
    for (const [method, path] of [
      ['GET', '/volumes'],
      ['POST', '/volumes'],
      ['GET', `/volumes/${randomUUID()}`],
      ['DELETE', `/volumes/${randomUUID()}`],
    ] as const) {
      const answer = await api.call(method, path, method === 'POST' ? { body: { name: 'x' } } : {});
      expect(answer).toMatchObject({
        status: 403,
        body: { code: 403, message: 'use of volumes is not enabled' },
      });
    }
    const body = { templateID: 'base', volumeMounts: [{ name: 'x', path: '/mnt' }] };
    expect(await api.call('POST', '/sandboxes', { body })).toMatchObject({
      status: 400,
      body: { message: 'Volume mounts are not enabled.' },
    });
    expect((await api.call('POST', '/sandboxes', { body: { ...body, volumeMounts: [] } })).status).toBe(201);
  });
});

describe('volumes', () => {
  let api: Harness;
  beforeAll(async () => {
    api = await startHarness({ link: { volumes: fullNode() }, volumeSizeMb: 64 });
  });
  afterAll(() => api.close());

  it('that their node cannot make are not there afterwards', async () => {
    const body = { name: 'data' };
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await api.call('POST', '/volumes', { body })).toMatchObject({
        status: 503,
        body: { code: 503, message: 'the disk is full' },
      });
    }
    expect((await api.call('GET', '/volumes')).body).toEqual([]);
  });

  it('open their content to nobody without a token of theirs', async () => {
    const clock = { now: () => Date.now(), monotonic: () => 0 };
    const old = { now: () => Date.now() - 8 * 24 * 3_600_000, monotonic: () => 0 };
    const grant = { teamId: LOCAL_DEV.teamId, volumeId: randomUUID() };
    const sign = (options: Partial<Parameters<typeof createVolumeTokens>[0]>, to = grant) =>
      createVolumeTokens({ tokenSeed: TOKEN_SEED, domain: 'islet.localhost:3002', clock, ...options }).sign(
        to,
      );
    const status = async (authorization?: string) => {
      const path = `/volumecontent/${grant.volumeId}/dir?path=/`;
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const answer = await api.call('GET', path, { key: null, headers });
      expect(answer.body).toEqual({ code: expect.any(String), message: expect.any(String) });
      return answer.status;
    };
    const unsigned = (await sign({})).split('.').slice(0, 2).join('.');
    expect(await status()).toBe(401);
    expect(await status('Bearer nonsense')).toBe(401);
    expect(await status(`Bearer ${unsigned}.`)).toBe(401);
    expect(await status(`Bearer ${await sign({ tokenSeed: 'another' })}`)).toBe(401);
    expect(await status(`Bearer ${await sign({ domain: 'elsewhere.org' })}`)).toBe(401);
    expect(await status(`Bearer ${await sign({ clock: old })}`)).toBe(401);
    expect(await status(`Bearer ${await sign({}, { ...grant, volumeId: randomUUID() })}`)).toBe(403);
    // A good token of a volume that is not there any more, and one that an older Islet made.
    expect(await status(`Bearer ${await sign({})}`)).toBe(404);
    expect(await status(`Bearer ${await sign({ domain: 'localhost:3002' })}`)).toBe(404);
  });
});
