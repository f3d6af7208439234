import { LOCAL_DEV } from '@islet/db';
import { Sandbox as Newest, Template } from 'e2b';
import { Sandbox as Oldest } from 'e2b-1';
import { Sandbox as Middle } from 'e2b-2-19';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

// What the SDKs do against the control plane alone. Their commands and files need a real sandbox: see e2e/.

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api.close());

const options = () => ({ apiKey: LOCAL_DEV.apiKey, apiUrl: api.url, requestTimeoutMs: 10_000 });

describe('e2b, the newest', () => {
  it('creates, reads, extends, lists, connects and kills', async () => {
    const metadata = { 'who is it?': 'ana & co' };
    const sandbox = await Newest.create('base', { ...options(), metadata, timeoutMs: 60_000 });
    expect(sandbox.sandboxId).toMatch(/^i[a-z0-9]{20}$/);
    expect(sandbox.getHost(3000)).toBe(`3000-${sandbox.sandboxId}.islet.localhost:3002`);
    const info = await sandbox.getInfo();
    expect(info).toMatchObject({
      sandboxId: sandbox.sandboxId,
      templateId: api.baseTemplateId,
      name: 'base',
      metadata,
      state: 'running',
      cpuCount: 2,
      memoryMB: 512,
      envdVersion: '0.6.13',
      lifecycle: { onTimeout: 'kill', autoResume: false },
    });
    expect(info.endAt.getTime() - info.startedAt.getTime()).toBe(60_000);
    await sandbox.setTimeout(120_000);
    expect((await sandbox.getInfo()).endAt.getTime()).toBeGreaterThan(info.endAt.getTime());

    await Newest.create('base', options());
    const paginator = Newest.list({ ...options(), query: { metadata, state: ['running'] }, limit: 1 });
    const rows = await paginator.nextItems();
    expect(rows.map((row) => row.sandboxId)).toEqual([sandbox.sandboxId]);
    expect(paginator.hasNext).toBe(false);

    const connected = await Newest.connect(sandbox.sandboxId, options());
    expect(connected.sandboxId).toBe(sandbox.sandboxId);
    await sandbox.updateNetwork({ denyOut: ['0.0.0.0/0'], allowOut: ['1.1.1.1'] });
    expect((await sandbox.getInfo()).network).toMatchObject({ denyOut: ['0.0.0.0/0'] });
    expect(await sandbox.kill()).toBe(true);
    expect(await Newest.kill(sandbox.sandboxId, options())).toBe(false);
    await expect(Newest.connect(sandbox.sandboxId, options())).rejects.toThrow('not found');
  });

  it('walks through pages', async () => {
    const made = await Promise.all(Array.from({ length: 5 }, () => Newest.create('base', options())));
    const ids = new Set(made.map(({ sandboxId }) => sandboxId));
    const paginator = Newest.list({ ...options(), limit: 2 });
    const seen: string[] = [];
    while (paginator.hasNext) seen.push(...(await paginator.nextItems()).map(({ sandboxId }) => sandboxId));
    expect(new Set(seen)).toEqual(new Set([...ids, ...seen]));
    expect(seen.length).toBe(new Set(seen).size);
    for (const id of ids) expect(seen).toContain(id);
    for (const id of seen) await Newest.kill(id, options());
  });

  it('throws its own errors', async () => {
    const wrong = { ...options(), apiKey: `e2b_${'0'.repeat(40)}` };
    await expect(Newest.create('base', wrong)).rejects.toMatchObject({ name: 'AuthenticationError' });
    await expect(Newest.create('nothing', options())).rejects.toThrow("404: template 'nothing' not found");
    await expect(Newest.create('base', { ...options(), timeoutMs: 7_200_000 })).rejects.toThrow(
      'greater than 1 hours',
    );
    await expect(Newest.getInfo(`i${'0'.repeat(20)}`, options())).rejects.toThrow();
    await expect(Newest.getMetrics(`i${'0'.repeat(20)}`, options())).resolves.toEqual([]);
  });

  it('knows which templates exist', async () => {
    expect(await Template.exists('base', options())).toBe(true);
    expect(await Template.exists('nothing', options())).toBe(false);
    const { key } = await api.team('sdk');
    expect(await Template.exists('base', { ...options(), apiKey: key })).toBe(true);
  });

  it('is told about the team’s limit as such', async () => {
    const { key } = await api.team('sdk-limit');
    const mine = { ...options(), apiKey: key };
    const results = await Promise.allSettled(Array.from({ length: 22 }, () => Newest.create('base', mine)));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.map(({ reason }) => reason.name)).toEqual(['RateLimitError', 'RateLimitError']);
  });
});

describe('e2b 2.19', () => {
  it('creates, lists, reads and kills', async () => {
    const env = { ...options(), secure: true };
    const sandbox = await Middle.create('base', { ...env, metadata: { v: '2.19' } });
    expect(await Middle.getInfo(sandbox.sandboxId, options())).toMatchObject({ state: 'running' });
    const paginator = Middle.list({ ...options(), query: { metadata: { v: '2.19' } } });
    expect((await paginator.nextItems()).map((row) => row.sandboxId)).toEqual([sandbox.sandboxId]);
    await sandbox.setTimeout(30_000);
    expect((await Middle.connect(sandbox.sandboxId, options())).sandboxId).toBe(sandbox.sandboxId);
    await sandbox.kill();
    expect(await Middle.kill(sandbox.sandboxId, options())).toBe(false);
  });
});

describe('e2b 1', () => {
  it('creates, lists, reads and kills', async () => {
    // This version knows the API by its domain only: https://api.<domain>.
    const old = { apiKey: LOCAL_DEV.apiKey, domain: 'islet.test' };
    const network = globalThis.fetch;
    vi.stubGlobal('fetch', async (input: string | Request, init?: RequestInit) => {
      const request = new Request(input, init);
      const body = request.body ? await request.arrayBuffer() : undefined;
      const { pathname, search } = new URL(request.url);
      const { method, headers } = request;
      return network(api.url + pathname + search, { method, headers, ...(body && { body }) });
    });
    try {
      const sandbox = await Oldest.create('base', { ...old, metadata: { v: '1' } });
      const rows = await Oldest.list({ ...old, query: { metadata: { v: '1' } } });
      expect(rows).toMatchObject([{ sandboxId: sandbox.sandboxId }]);
      await Oldest.setTimeout(sandbox.sandboxId, 30_000, old);
      expect(await Oldest.kill(sandbox.sandboxId, old)).toBe(true);
      expect(await Oldest.kill(sandbox.sandboxId, old)).toBe(false);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
