import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, type ListedBody, newTeam, type SandboxBody } from '../setup/control-plane.ts';

const access = inject('islet');
/** A team of its own, so that the lists hold nothing else. */
let api: ControlPlane;
/** In the order of their start. */
const made: SandboxBody[] = [];
const METADATA = [
  { app: 'crawler', user: 'ana' },
  { app: 'crawler', user: 'bo' },
  { app: 'a&b=c d/é', user: 'ana' },
  {},
  { app: 'crawler', user: 'ana', extra: '1' },
];

beforeAll(async () => {
  api = await newTeam(access, 'Listers');
  for (const metadata of METADATA) made.push(await api.create({ metadata, timeout: 300 }));
});
afterAll(() => api[Symbol.asyncDispose]());

const list = (path: string) => api.call<ListedBody[]>('GET', path);
const idsOf = (rows: ListedBody[]) => rows.map(({ sandboxID }) => sandboxID);
const ids = (...indices: number[]) => indices.map((index) => made[index]?.sandboxID);
/** As the SDKs send it: each part encoded twice, the parameter once more. */
const metadataQuery = (pairs: Record<string, string>) =>
  `metadata=${encodeURIComponent(
    new URLSearchParams(
      Object.entries(pairs).map(([key, value]): [string, string] => [
        encodeURIComponent(key),
        encodeURIComponent(value),
      ]),
    ).toString(),
  )}`;

describe('GET /sandboxes', () => {
  it('lists the running ones, newest first', async () => {
    const { status, body } = await list('/sandboxes');
    expect(status).toBe(200);
    expect(idsOf(body)).toEqual(ids(4, 3, 2, 1, 0));
    expect(body[0]).toMatchObject({
      templateID: made[4]?.templateID,
      alias: 'base',
      clientID: '6532622b',
      state: 'running',
      cpuCount: expect.any(Number),
      memoryMB: expect.any(Number),
      diskSizeMB: expect.any(Number),
      envdVersion: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      metadata: METADATA[4],
    });
    expect(JSON.stringify(body)).not.toContain('envdAccessToken');
  });

  it('filters by metadata', async () => {
    expect(idsOf((await list(`/sandboxes?${metadataQuery({ user: 'bo' })}`)).body)).toEqual(ids(1));
  });
});

describe('GET /v2/sandboxes', () => {
  it('pages through all, newest first, with a constant total and no token at the end', async () => {
    const seen: string[] = [];
    const sizes: number[] = [];
    let token: string | undefined;
    do {
      const next: string = token === undefined ? '' : `&nextToken=${encodeURIComponent(token)}`;
      const { status, body, headers } = await list(`/v2/sandboxes?limit=2${next}`);
      expect(status).toBe(200);
      expect(headers['x-total-running']).toBe('5');
      seen.push(...idsOf(body));
      sizes.push(body.length);
      const header = headers['x-next-token'];
      token = header === undefined ? undefined : String(header);
    } while (token);
    expect(seen).toEqual(ids(4, 3, 2, 1, 0));
    expect(sizes).toEqual([2, 2, 1]);
  });

  it('turns the order round exactly, and its tokens are of one order', async () => {
    expect(idsOf((await list('/v2/sandboxes?order=asc')).body)).toEqual(ids(0, 1, 2, 3, 4));
    const first = await list('/v2/sandboxes?order=asc&limit=3');
    const token = encodeURIComponent(String(first.headers['x-next-token']));
    const second = await list(`/v2/sandboxes?order=asc&limit=3&nextToken=${token}`);
    expect(idsOf([...first.body, ...second.body])).toEqual(ids(0, 1, 2, 3, 4));
    expect(await api.call('GET', `/v2/sandboxes?nextToken=${token}`)).toMatchObject({
      status: 400,
      body: { code: 400, message: 'Invalid next token' },
    });
  });

  it.each([
    [{ app: 'crawler' }, [4, 1, 0]],
    [{ app: 'crawler', user: 'ana' }, [4, 0]],
    [{ app: 'a&b=c d/é' }, [2]],
    [{ app: 'crawl' }, []],
    [{ missing: '' }, []],
  ])('filters by metadata %j', async (pairs, expected) => {
    const { body, headers } = await list(`/v2/sandboxes?${metadataQuery(pairs)}`);
    expect(idsOf(body)).toEqual(ids(...expected));
    expect(headers['x-total-running']).toBe(String(expected.length));
  });

  it('filters by state', async () => {
    expect(idsOf((await list('/v2/sandboxes?state=running')).body)).toEqual(ids(4, 3, 2, 1, 0));
    expect(idsOf((await list('/v2/sandboxes?state=running,paused')).body)).toEqual(ids(4, 3, 2, 1, 0));
    const paused = await list('/v2/sandboxes?state=paused');
    expect(paused.body).toEqual([]);
    expect(paused.headers['x-total-running']).toBeUndefined();
  });

  it('filters by start, inclusive', async () => {
    const { body } = await api.get(made[2]?.sandboxID ?? '');
    const query = `startedAfter=${encodeURIComponent(body.startedAt)}`;
    expect(idsOf((await list(`/v2/sandboxes?${query}`)).body)).toEqual(ids(4, 3, 2));
  });

  it('filters by template: its alias, its id, or one that nobody has', async () => {
    for (const template of ['base', made[0]?.templateID ?? '']) {
      expect((await list(`/v2/sandboxes?template=${template}`)).body).toHaveLength(5);
    }
    expect(await list('/v2/sandboxes?template=unheard-of')).toMatchObject({ status: 200, body: [] });
    const tagged = await api.call('GET', '/v2/sandboxes?template=base:default');
    expect(tagged).toMatchObject({
      status: 400,
      body: { code: 400, message: expect.stringMatching(/^Invalid template: /) },
    });
  });

  it.each([
    ['limit=0', /^validation error: /],
    ['limit=101', /^validation error: /],
    ['limit=x', /^validation error: /],
    ['state=dead', /^validation error: /],
    ['order=up', /^validation error: /],
    ['startedAfter=yesterday', /^validation error: /],
    ['nextToken=nonsense', /^Invalid next token$/],
    ['metadata=a', /^Error parsing metadata$/],
    [`metadata=${encodeURIComponent('a=b=c')}`, /^Error parsing metadata$/],
  ])('answers %s with 400', async (query, message) => {
    const answer = await api.call('GET', `/v2/sandboxes?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(answer.body.message).toMatch(message);
  });

  it('leaves a sandbox out as soon as it was killed', async () => {
    const { sandboxID } = await api.create();
    expect(idsOf((await list('/v2/sandboxes')).body)).toContain(sandboxID);
    await api.kill(sandboxID);
    expect(idsOf((await list('/v2/sandboxes')).body)).toEqual(ids(4, 3, 2, 1, 0));
  });
});
