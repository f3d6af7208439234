import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOCAL_DEV, oweAudit } from '@islet/db';
import { type AuditRecord, type AuditStore, createMemoryAudit } from '@islet/sinks';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AuditTrail } from '../src/audit/trail.ts';
import { ADMIN_TOKEN, type Harness, startHarness } from './harness.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

let kept: AuditRecord[] = [];
const audit: AuditStore = {
  ...createMemoryAudit({ most: 10 }),
  async write(records) {
    kept.push(...records);
  },
};
let api: Harness;
beforeAll(async () => {
  api = await startHarness({ audit });
});
afterAll(() => api?.close());
beforeEach(() => {
  kept = [];
});

const one = async () => {
  await expect.poll(() => kept).toHaveLength(1);
  return kept[0];
};

describe('the audit', () => {
  it('says who made what, for whom, with which key and from where', async () => {
    const team = await api.team('audited');
    const { body } = await api.call('POST', '/sandboxes', {
      ...{ key: team.key, body: { templateID: api.baseTemplateId, envVars: { TOKEN: 'hidden' } } },
    });
    const record = await one();
    expect(record).toEqual({
      ...{
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        timeMs: expect.any(Number),
        via: 'api',
        actor: 'team',
      },
      ...{ teamId: team.id, userId: null, keyId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
      keyMask: `e2b_${team.key.slice(4, 6)}...${team.key.slice(-4)}`,
      ...{ address: '127.0.0.1', method: 'POST', route: '/sandboxes', status: 201 },
      objects: { sandboxID: body.sandboxID, templateID: api.baseTemplateId, clientID: body.clientID },
    });
    expect(JSON.stringify(record)).not.toContain(team.key);
  });

  it('has what failed, by its parameters, without the key that somebody put there', async () => {
    await api.call('DELETE', `/sandboxes/inothing`);
    expect(await one()).toMatchObject({ status: 404, method: 'DELETE', objects: { sandboxID: 'inothing' } });
    kept = [];
    const headers = { Authorization: `Bearer ${LOCAL_DEV.accessToken}` };
    await api.call('DELETE', `/api-keys/${LOCAL_DEV.apiKey}`, { key: null, headers });
    expect(await one()).toMatchObject({
      ...{ actor: 'user', userId: LOCAL_DEV.userId, keyMask: 'sk_e2b_89...7715', status: 400 },
      objects: { apiKeyID: 'e2b_53...dd90' },
    });
  });

  it('has what the operator does, and reads that make something', async () => {
    const { id } = await api.team('operated');
    await api.call('POST', `/admin/teams/${id}/sandboxes/kill`, {
      key: null,
      headers: { 'X-Admin-Token': ADMIN_TOKEN },
    });
    expect(await one()).toMatchObject({
      actor: 'operator',
      keyId: null,
      objects: { teamID: id },
      status: 200,
    });
    kept = [];
    const headers = { Authorization: `Bearer ${LOCAL_DEV.accessToken}` };
    const { body } = await api.call('GET', '/teams', { key: null, headers });
    expect(JSON.stringify(await one())).not.toContain(body[0].apiKey);
    expect(kept).toMatchObject([{ method: 'GET', route: '/teams', actor: 'user' }]);
  });

  it('has what a client asked for that hung up before the answer', async () => {
    const { body } = await api.call('POST', '/sandboxes', { body: { templateID: api.baseTemplateId } });
    await one();
    kept = [];
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname, () => {
      const head = `DELETE /sandboxes/${body.sandboxID} HTTP/1.1\r\nHost: ${hostname}\r\n`;
      socket.write(`${head}X-API-Key: ${LOCAL_DEV.apiKey}\r\n\r\n`, () => socket.destroy());
    });
    expect(await one()).toMatchObject({ method: 'DELETE', objects: { sandboxID: body.sandboxID } });
  });

  it('has nothing of reads, of strangers, and of what there is not', async () => {
    await api.call('GET', '/sandboxes');
    await api.call('POST', '/sandboxes', { key: null, body: { templateID: 'base' } });
    await api.call('POST', '/nonsense', { body: {} });
    await api.call('POST', '/sandboxes', { body: { templateID: 'nothing' } });
    expect(await one()).toMatchObject({ status: 404, route: '/sandboxes' });
    await sleep(600);
    expect(kept).toHaveLength(1);
  });
});

describe('a trail', () => {
  const done = (index: number) => ({
    ...{
      timeMs: index,
      via: 'api' as const,
      actor: 'team' as const,
      teamId: null,
      userId: null,
      keyId: null,
    },
    ...{ keyMask: null, address: null, method: 'POST', route: '/', objects: {}, status: 200 },
  });
  const all = { order: 'ascending', limit: 100_000 } as const;

  it('reads what was recorded, and keeps it at its end', async () => {
    const store = createMemoryAudit({ most: 100 });
    {
      await using trail = new AuditTrail({ store, db: api.db, logger });
      trail.record(done(1));
      expect(await trail.query(all)).toMatchObject([{ timeMs: 1 }]);
      trail.record(done(2));
    }
    expect(await store.query(all)).toHaveLength(2);
  });

  it('keeps each once, in order, whatever fails in between, within bounds', async () => {
    const memory = createMemoryAudit({ most: 100_000 });
    let works = false;
    const write: AuditStore['write'] = (records) =>
      works ? memory.write(records) : Promise.reject(new Error('full'));
    await using trail = new AuditTrail({ store: { ...memory, write }, db: api.db, logger });
    for (let index = 0; index < 10_050; index++) trail.record(done(index));
    expect(await trail.query(all)).toEqual([]);
    works = true;
    const found = await trail.query(all);
    expect(found.map(({ timeMs }) => timeMs)).toEqual(
      Array.from({ length: 10_000 }, (_, index) => index + 50),
    );
  });

  it('takes what commands have left in the database, once it can be kept', async () => {
    const owed = Array.from({ length: 501 }, (_, index) => ({ id: randomUUID(), record: done(index) }));
    const memory = createMemoryAudit({ most: 1_000 });
    let works = false;
    const write: AuditStore['write'] = (records) =>
      works ? memory.write(records) : Promise.reject(new Error('full'));
    await using trail = new AuditTrail({ store: { ...memory, write }, db: api.db, logger });
    for (const { id, record } of owed) await oweAudit(api.db, { id, record: JSON.stringify(record) });
    expect(await trail.query(all)).toEqual([]);
    works = true;
    const expected = owed.map(({ id, record }) => ({ ...record, id }));
    expect(await trail.query(all)).toEqual(expected);
    expect(await trail.query(all)).toEqual(expected);
  });
});
