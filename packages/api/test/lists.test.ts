import { orchestratorProto } from '@islet/contracts';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Answer, type Harness, startHarness } from './harness.ts';

const { SandboxState } = orchestratorProto;

let api: Harness;
let key: string;
/** In the order they were created. */
const ids: string[] = [];

beforeAll(async () => {
  api = await startHarness();
  ({ key } = await api.team('lists'));
  await api.template({ alias: 'second', namespace: null, public: true });
  for (let i = 0; i < 7; i++) {
    const body = {
      templateID: i === 3 ? 'second' : 'base',
      timeout: 600,
      metadata: { index: String(i), 'sp ace&=%': 'ü +/', parity: i % 2 ? 'odd' : 'even' },
    };
    ids.push((await api.call('POST', '/sandboxes', { key, body })).body.sandboxID);
  }
  // Two started at the very same moment, and each other one at its own.
  const known = [...api.node.sandboxes.values()].sort((a, b) => a.startedAtMs - b.startedAtMs);
  for (const [i, sandbox] of known.entries()) {
    sandbox.startedAtMs = 1_800_000_000_000 + 1000 * (i === 5 ? 4 : i) + 0.25;
    api.node.setState(sandbox.config?.sandboxId ?? '', SandboxState.RUNNING);
  }
  await vi.waitFor(
    async () => {
      const { body } = await api.call('GET', '/sandboxes', { key });
      expect(body.at(-1)?.startedAt).toBe('2027-01-15T08:00:00.000Z');
    },
    { timeout: 60_000 },
  );
});
afterAll(() => api.close());

const idsOf = ({ body }: Answer): string[] => body.map((row: { sandboxID: string }) => row.sandboxID);
const list = (query: string) => api.call('GET', `/v2/sandboxes?${query}`, { key });

async function pages(query: string): Promise<{ ids: string[]; totals: (string | null)[] }> {
  const found: string[] = [];
  const totals: (string | null)[] = [];
  let token = '';
  for (let page = 0; page < 20; page++) {
    const answer = await list(`${query}${token && `&nextToken=${encodeURIComponent(token)}`}`);
    expect(answer.status).toBe(200);
    found.push(...idsOf(answer));
    totals.push(answer.headers.get('x-total-running'));
    token = answer.headers.get('x-next-token') ?? '';
    if (!token) return { ids: found, totals };
  }
  throw new Error('the pages never end');
}

describe('GET /v2/sandboxes', () => {
  it('lists the newest first, in pages that join up, with a constant total', async () => {
    const all = idsOf(await list(''));
    expect(all).toHaveLength(7);
    expect([all[0], all[3], all[6]]).toEqual([ids[6], ids[3], ids[0]]);
    for (const limit of [1, 2, 3, 7, 100]) {
      const paged = await pages(`limit=${limit}`);
      expect(paged.ids).toEqual(all);
      expect(new Set(paged.totals)).toEqual(new Set(['7']));
    }
  });

  it('reverses exactly in ascending order', async () => {
    const descending = await pages('limit=2');
    const ascending = await pages('limit=2&order=asc');
    expect(ascending.ids).toEqual([...descending.ids].reverse());
  });

  it('refuses tokens that are none, or of the other order', async () => {
    const token = (await list('limit=1')).headers.get('x-next-token') ?? '';
    expect(token).not.toBe('');
    for (const query of [
      `order=asc&nextToken=${token}`,
      'nextToken=abc',
      'nextToken=%F0',
      `nextToken=${token}x__y`,
    ]) {
      expect(await list(query)).toMatchObject({ status: 400, body: { message: 'Invalid next token' } });
    }
    const ascending = (await list('limit=1&order=asc')).headers.get('x-next-token') ?? '';
    expect(await list(`nextToken=${encodeURIComponent(ascending)}`)).toMatchObject({ status: 400 });
  });

  it.each([
    'limit=0',
    'limit=101',
    'limit=x',
    'order=up',
    'state=killed',
    'state=',
    'startedAfter=yesterday',
  ])('refuses %s', async (query) => {
    expect(await list(query)).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining(`validation error: querystring/${query.split('=')[0]}`) },
    });
  });

  it('filters by metadata as the SDKs encode it', async () => {
    const encode = (pairs: [string, string][]) =>
      new URLSearchParams(
        pairs.map(([k, v]): [string, string] => [encodeURIComponent(k), encodeURIComponent(v)]),
      );
    const filter = (...pairs: [string, string][]) =>
      list(`metadata=${encodeURIComponent(encode(pairs).toString())}`);
    expect(idsOf(await filter(['sp ace&=%', 'ü +/']))).toHaveLength(7);
    expect(idsOf(await filter(['sp ace&=%', 'ü +/'], ['index', '2']))).toEqual([ids[2]]);
    expect(idsOf(await filter(['index', '2'], ['parity', 'odd']))).toEqual([]);
    expect(idsOf(await list('metadata=index%3D2'))).toEqual([ids[2]]);
    expect(await list('metadata=index')).toMatchObject({
      status: 400,
      body: { message: 'Error parsing metadata' },
    });
  });

  it('filters by start, inclusive', async () => {
    const after = encodeURIComponent('2027-01-15T08:00:03.000Z');
    expect(new Set(idsOf(await list(`startedAfter=${after}`)))).toEqual(new Set(ids.slice(3)));
  });

  it('filters by template, by alias or id, but not by tag', async () => {
    expect(idsOf(await list('template=second'))).toEqual([ids[3]]);
    expect(idsOf(await list(`template=${api.baseTemplateId}`))).toHaveLength(6);
    expect(idsOf(await list('template=nothing'))).toEqual([]);
    expect(await list('template=second:v1')).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(/^Invalid template: /) },
    });
  });

  it('filters by state, and counts running ones only if they were asked for', async () => {
    const [paused = ''] = ids;
    api.node.setState(paused, SandboxState.PAUSING);
    await expect.poll(async () => idsOf(await list('state=paused'))).toEqual([paused]);
    expect((await list('state=paused')).headers.get('x-total-running')).toBeNull();
    expect((await list('state=running,paused')).headers.get('x-total-running')).toBe('6');
    expect(idsOf(await list('state=running'))).not.toContain(paused);
    expect(idsOf(await api.call('GET', '/sandboxes', { key }))).not.toContain(paused);
    expect((await list('')).body.find((row: { sandboxID: string }) => row.sandboxID === paused).state).toBe(
      'paused',
    );
    api.node.setState(paused, SandboxState.RUNNING);
    await expect.poll(async () => idsOf(await list('state=paused'))).toEqual([]);
  });

  it('never shows another team’s sandboxes', async () => {
    const other = await api.team('lists-other');
    for (const path of ['/sandboxes', '/v2/sandboxes']) {
      expect(await api.call('GET', path, { key: other.key })).toMatchObject({ status: 200, body: [] });
    }
  });
});

describe('GET /sandboxes', () => {
  it('lists running ones, newest first, all at once', async () => {
    const answer = await api.call('GET', '/sandboxes', { key });
    expect(idsOf(answer)).toEqual(idsOf(await list('')));
    expect(answer.body[0]).toMatchObject({ clientID: '6532622b', state: 'running', volumeMounts: [] });
    expect(answer.body[0]).not.toHaveProperty('envdAccessToken');
    expect(idsOf(await api.call('GET', '/sandboxes?metadata=index%3D4', { key }))).toEqual([ids[4]]);
  });
});
