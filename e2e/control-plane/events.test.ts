import { afterAll, expect, inject, it } from 'vitest';
import { ControlPlane } from '../setup/control-plane.ts';
import { until } from '../setup/until.ts';

const api = new ControlPlane(inject('islet'));
afterAll(() => api[Symbol.asyncDispose]());

interface Event {
  type: string;
  timestamp: string;
  sandboxExecutionId: string;
  eventData: Record<string, unknown> | null;
}

it('tell a sandbox’s life in its order, also when it is over', async () => {
  const { sandboxID: id } = await api.create({ timeout: 300, metadata: { owner: 'me' } });
  const post = async (action: string, body: object = {}) => {
    const { status, text } = await api.call('POST', `/sandboxes/${id}/${action}`, { body });
    expect(status, text).toBeLessThan(300);
  };
  await post('timeout', { timeout: 600 });
  expect(
    (await api.call('PUT', `/sandboxes/${id}/network`, { body: { denyOut: ['10.9.8.0/24'] } })).status,
  ).toBe(204);
  await post('snapshots', { name: 'events' });
  await post('pause');
  await post('connect', { timeout: 300 });
  await api.kill(id);
  const path = `/events/sandboxes/${id}?orderAsc=true&limit=100`;
  const { body: events } = await until(
    'its end is told',
    10_000,
    () => api.call<Event[]>('GET', path),
    ({ body }) => body.at(-1)?.type === 'sandbox.lifecycle.killed',
  );
  const [created, moved, ruled, checkpointed, paused, resumed, killed, ...more] = events;
  expect(events.map(({ type }) => type.replace('sandbox.lifecycle.', ''))).toEqual([
    ...['created', 'updated', 'updated', 'checkpointed', 'paused', 'resumed', 'killed'],
  ]);
  expect(more).toEqual([]);
  expect(created?.eventData).toEqual({ sandbox_metadata: { owner: 'me' } });
  expect(Date.parse(String(moved?.eventData?.set_timeout))).toBeGreaterThan(
    Date.parse(created?.timestamp ?? ''),
  );
  expect(ruled?.eventData?.network_egress).toMatchObject({ denied_cidrs: ['10.9.8.0/24'] });
  expect(checkpointed?.sandboxExecutionId).toBe(created?.sandboxExecutionId);
  expect(paused?.eventData?.execution).toMatchObject({ vcpu_count: expect.any(Number) });
  expect(resumed?.sandboxExecutionId).not.toBe(paused?.sandboxExecutionId);
  expect(killed?.eventData).toMatchObject({ kill_reason: 'request', sandbox_metadata: { owner: 'me' } });
  expect((await api.call('DELETE', '/templates/events')).status).toBe(204);
});
