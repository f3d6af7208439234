import { orchestratorProto, type SandboxLifeEvent } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Metering } from '../src/teams/metering.ts';
import { type Harness, startHarness } from './harness.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const HOUR_MS = 3_600_000;

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api?.close());

const today = () => new Date().toISOString().slice(0, 10);
const event = (teamId: string, over: Partial<SandboxLifeEvent>): SandboxLifeEvent => ({
  ...{ id: crypto.randomUUID(), type: 'created', timeMs: Date.now(), sandboxId: 'ia', teamId },
  ...{ executionId: 'e', templateId: 'base', buildId: 'b', metadata: {}, ...over },
});

it('is told by day to its team, and to nobody else', async () => {
  const [team, other] = [await api.team('used'), await api.team('curious')];
  const metering = new Metering({ db: api.db, sandboxes: api.sandboxes, now: Date.now, logger });
  const startedAtMs = Date.parse('2026-10-31T23:00:00Z');
  const execution = { startedAtMs, lengthMs: 3 * HOUR_MS, cpuCount: 2, memoryMb: 512 };
  const sandboxId = `i${team.slug}`;
  const told = [
    event(team.id, { sandboxId, timeMs: startedAtMs }),
    event(team.id, { sandboxId, type: 'paused', execution }),
    event(team.id, { sandboxId, type: 'killed', killReason: 'request', execution }),
  ];
  for (let count = 0; count < 2; count++) await metering.hear(told);
  const read = (query: string, key = team.key) =>
    api.call('GET', `/teams/${team.id}/usage?${query}`, { key });
  const { status, body } = await read('start=2026-10-01&end=2026-11-30');
  expect(status).toBe(200);
  const nothing = { pausedGiBHours: 0, templateGiBHours: 0, volumeGiBHours: 0 };
  expect(body).toEqual({
    days: [
      { day: '2026-10-31', sandboxes: 1, vcpuHours: 2, memoryGiBHours: 0.5, ...nothing },
      { day: '2026-11-01', sandboxes: 0, vcpuHours: 4, memoryGiBHours: 1, ...nothing },
    ],
    total: { sandboxes: 1, vcpuHours: 6, memoryGiBHours: 1.5, ...nothing },
  });
  expect((await read('start=2026-11-01&end=2026-11-01')).body.total.vcpuHours).toBe(4);
  expect((await read('', other.key)).status).toBe(403);
  for (const bad of [
    'start=yesterday',
    'start=2026-13-01',
    'start=2026-02-02&end=2026-02-01',
    'start=2020-01-01',
  ]) {
    expect((await read(bad)).status).toBe(400);
  }
});

it('includes what runs, until now, and keeps it if nobody tells its end', async () => {
  const team = await api.team('running');
  const { body } = await api.call('POST', '/sandboxes', {
    key: team.key,
    body: { templateID: api.baseTemplateId },
  });
  const startedAtMs = api.sandboxes.get(body.sandboxID)?.startedAtMs ?? 0;
  let now = startedAtMs + 10 * HOUR_MS;
  const metering = new Metering({ db: api.db, sandboxes: api.sandboxes, now: () => now, logger });
  const hours = async () => {
    const days = await metering.read(team.id, today(), '2099-01-01');
    return days.reduce((sum, { vcpuSeconds }) => sum + vcpuSeconds / 3_600, 0);
  };
  const cpuCount = api.sandboxes.get(body.sandboxID)?.config.cpuCount ?? 0;
  expect(await hours()).toBeCloseTo(10 * cpuCount);
  await metering.tick();
  now += HOUR_MS;
  expect(await hours()).toBeCloseTo(11 * cpuCount);
  api.node.end(body.sandboxID, orchestratorProto.KillReason.ORPHANED);
  await expect.poll(() => api.sandboxes.get(body.sandboxID)).toBeUndefined();
  // As far as it was taken down.
  expect(await hours()).toBeCloseTo(10 * cpuCount);
  const execution = { startedAtMs, lengthMs: 10.5 * HOUR_MS, cpuCount, memoryMb: 512 };
  await metering.hear([event(team.id, { sandboxId: body.sandboxID, type: 'killed', execution })]);
  expect(await hours()).toBeCloseTo(10.5 * cpuCount);
});
