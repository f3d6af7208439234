import { afterAll, expect, inject, it } from 'vitest';
import { ControlPlane, type ListedBody } from '../setup/control-plane.ts';
import { footprint } from '../setup/footprint.ts';
import { expectSettlesTo, settledFootprint } from '../setup/settle.ts';

const access = inject('islet');
const api = new ControlPlane(access);
afterAll(() => api[Symbol.asyncDispose]());

const AT_ONCE = 5;

/** Creates sandboxes and kills each at once, some at a time. */
async function churn(count: number): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const { sandboxID } = await api.create();
      await api.kill(sandboxID);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Ends what other tests left to time out: it would do so in the middle of the count. */
async function endForgotten(): Promise<void> {
  const { body } = await api.call<ListedBody[]>('GET', '/v2/sandboxes');
  await Promise.all(body.map(({ sandboxID }) => api.kill(sandboxID)));
}

it('leaves nothing behind of 200 sandboxes created and killed', { timeout: 180_000 }, async () => {
  await endForgotten();
  await churn(AT_ONCE);
  const before = await settledFootprint(access);
  const { sandboxID } = await api.create();
  const withOne = await footprint(access);
  // The count would show a sandbox that was left.
  for (const kind of ['processes', 'cgroups', 'files'] as const) {
    expect(withOne[kind].length, kind).toBeGreaterThan(before[kind].length);
  }
  await api.kill(sandboxID);
  await churn(200);
  await expectSettlesTo(before, access);
});

it('leaves nothing behind of creates that fail and of requests that are refused', async () => {
  const before = await settledFootprint(access);
  await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const body = index % 2 ? { templateID: 'no-such' } : { templateID: 'base', timeout: 0 };
      expect((await api.call('POST', '/sandboxes', { body })).status).toBe(index % 2 ? 404 : 400);
    }),
  );
  await expectSettlesTo(before, access);
});
