import { expect, inject, it } from 'vitest';
import { ControlPlane, type ErrorBody, newTeam, type SandboxBody } from '../setup/control-plane.ts';
import { until } from '../setup/until.ts';

const access = inject('islet');
const refusal = (what: string) => ({
  status: 403,
  body: { code: 403, error_code: 'quota_exceeded', message: expect.stringContaining(what) },
});

it('saved states count as large as they are on disk, and what is refused runs on', async () => {
  await using api = await newTeam(access, 'Quotas of size', { 'paused-mb': 2, 'snapshots-mb': 2 });
  const [one, other] = await Promise.all([api.create({ timeout: 300 }), api.create({ timeout: 300 })]);
  const post = (id: string, deed: string) =>
    api.call<ErrorBody>('POST', `/sandboxes/${id}/${deed}`, { body: {} });
  expect((await post(one.sandboxID, 'pause')).status).toBe(204);
  expect(await post(other.sandboxID, 'pause')).toMatchObject(refusal('quota is 2 MiB of paused sandboxes'));
  const taken = await post(other.sandboxID, 'snapshots');
  expect(taken.status).toBe(201);
  expect(await post(other.sandboxID, 'snapshots')).toMatchObject(refusal('quota is 2 MiB of snapshots'));
  expect((await api.edge(other.sandboxID, 49983, '/health')).status).toBe(204);
  const [templateId] = (taken.body as unknown as { snapshotID: string }).snapshotID.split(':');
  expect((await api.call('DELETE', `/templates/${templateId}`)).status).toBe(204);
  await api.kill(one.sandboxID);
  expect((await post(other.sandboxID, 'pause')).status).toBe(204);
});

it('a sandbox that pauses at the end of its time has its place from the start on', async () => {
  await using api = await newTeam(access, 'Quotas of pauses', { paused: 1 });
  const request = { body: { templateID: 'base', autoPause: true, timeout: 300 } };
  const made = await api.call<SandboxBody>('POST', '/v2/sandboxes', request);
  expect(made.status).toBe(201);
  expect(await api.call('POST', '/v2/sandboxes', request)).toMatchObject(
    refusal('quota is 1 paused sandboxes'),
  );
  const { sandboxID } = made.body;
  await api.call('POST', `/sandboxes/${sandboxID}/timeout`, { body: { timeout: 1 } });
  const { body } = await until(
    'it is paused',
    60_000,
    () => api.get(sandboxID),
    (answer) => (answer.body as { state?: string }).state === 'paused',
  );
  expect(body).toMatchObject({ state: 'paused' });
});

it('half a million metadata keys are refused by the length of their body', async () => {
  const api = new ControlPlane(access);
  const metadata = Object.fromEntries(Array.from({ length: 500_000 }, (_, i) => [`key${i}`, '']));
  expect(await api.call('POST', '/sandboxes', { body: { templateID: 'base', metadata } })).toMatchObject({
    status: 413,
    body: { message: 'request body is larger than 512 KiB' },
  });
});
