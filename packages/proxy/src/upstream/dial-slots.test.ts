import { expect, it } from 'vitest';
import { DialSlots } from './dial-slots.ts';

const never = new AbortController().signal;

it('lets so many in at once, and the others when one is done, in turn', async () => {
  const slots = new DialSlots(2);
  const done: (() => void)[] = [];
  const begun: number[] = [];
  const all = [0, 1, 2, 3].map((n) =>
    slots.use(never, () => {
      begun.push(n);
      return new Promise<void>((resolve) => done.push(resolve));
    }),
  );
  await expect.poll(() => begun).toEqual([0, 1]);
  done[1]?.();
  await expect.poll(() => begun).toEqual([0, 1, 2]);
  done[0]?.();
  await expect.poll(() => begun).toEqual([0, 1, 2, 3]);
  done[2]?.();
  done[3]?.();
  await Promise.all(all);
});

it('lets the next in after a failure', async () => {
  const slots = new DialSlots(1);
  await expect(slots.use(never, () => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
  await expect(slots.use(never, async () => 'in')).resolves.toBe('in');
});

it('forgets who gave up, before and while it waited', async () => {
  const slots = new DialSlots(1);
  let free = () => {};
  const first = slots.use(never, () => new Promise<void>((resolve) => (free = resolve)));
  const control = new AbortController();
  const second = slots.use(control.signal, async () => 'second');
  control.abort(new Error('gone'));
  await expect(second).rejects.toThrow('gone');
  await expect(slots.use(AbortSignal.abort(new Error('before')), async () => 'x')).rejects.toThrow('before');
  free();
  await first;
  await expect(slots.use(never, async () => 'third')).resolves.toBe('third');
});
