import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { History } from '@islet/sinks';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'islet-teams-'));
const logger = createLogger({ service: 'test', level: 'silent' });
const history = new History({ dir, bytes: 100_000_000, now: Date.now, logger });
let api: Harness;
beforeAll(async () => {
  api = await startHarness({ teams: history.stores.teams });
});
afterAll(async () => {
  await api?.close();
  history[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

it('tell what a team has running and starts, and nobody else', async () => {
  const [team, other] = [await api.team('metered'), await api.team('curious')];
  const of = (path: string, key = team.key) => api.call('GET', `/teams/${team.id}/metrics${path}`, { key });
  expect((await of('')).body).toEqual([]);
  expect((await of('/max?metric=concurrent_sandboxes')).body).toMatchObject({ value: 0 });
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    const { body } = await api.call('POST', '/sandboxes', {
      key: team.key,
      body: { templateID: api.baseTemplateId },
    });
    ids.push(body.sandboxID);
  }
  const fromHere = Math.floor(Date.now() / 1000) - 1_000;
  const { status, body } = await of(`?start=${fromHere}`);
  expect(status).toBe(200);
  expect(Math.max(...body.map((one: { concurrentSandboxes: number }) => one.concurrentSandboxes))).toBe(3);
  const started = body.reduce(
    (sum: number, one: { sandboxStartRate: number }) => sum + one.sandboxStartRate * 5,
    0,
  );
  expect(Math.round(started)).toBe(3);
  for (const id of ids) await api.call('DELETE', `/sandboxes/${id}`, { key: team.key });
  expect((await of('/max?metric=concurrent_sandboxes')).body.value).toBe(3);
  expect((await of('/max?metric=sandbox_start_rate')).body.value).toBeGreaterThan(0);
  expect((await of('?start=100&end=200')).body).toEqual([]);

  expect((await of('', other.key)).status).toBe(403);
  expect((await of('/max?metric=sandbox_start_rate', other.key)).status).toBe(403);
  expect((await of('?start=200&end=100')).status).toBe(400);
  expect((await of('/max')).status).toBe(400);
  expect((await of('/max?metric=cpu')).status).toBe(400);
});
