import { expect, it } from 'vitest';
import { Gate } from './gate.ts';

it('lets the next in when a task is done, or when it leaves before that, once', async () => {
  const gate = new Gate(1);
  const begun: string[] = [];
  let end = () => {};
  const first = gate.run(async (leave) => {
    begun.push('first');
    await new Promise<void>((resolve) => {
      end = resolve;
    });
    begun.push('left');
    leave();
    leave();
    await new Promise<void>((resolve) => {
      end = resolve;
    });
  });
  const others = ['second', 'third'].map((name) =>
    gate.run(async () => {
      begun.push(name);
      if (name === 'second') await new Promise<void>((resolve) => setTimeout(resolve, 20));
      begun.push(`${name} ends`);
    }),
  );
  await Promise.resolve();
  expect(begun).toEqual(['first']);
  end();
  await Promise.all(others);
  expect(begun).toEqual(['first', 'left', 'second', 'second ends', 'third', 'third ends']);
  end();
  await first;
  await gate.run(async () => begun.push('last'));
  expect(begun.at(-1)).toBe('last');
});

it('lets tenants in by turns, and each one’s tasks in the order they came', async () => {
  const gate = new Gate(1);
  let end = () => {};
  const held = gate.run(() => new Promise<void>((resolve) => (end = resolve)), 'loud');
  const begun: string[] = [];
  const ask = (tenant: string, n: number) => gate.run(async () => void begun.push(`${tenant} ${n}`), tenant);
  const loud = [1, 2, 3, 4].map((n) => ask('loud', n));
  const others = [ask('quiet', 1), ask('late', 1), ask('quiet', 2)];
  expect(gate.waiting).toBe(7);
  end();
  await Promise.all([held, ...loud, ...others]);
  expect(begun).toEqual(['loud 1', 'quiet 1', 'late 1', 'loud 2', 'quiet 2', 'loud 3', 'loud 4']);
  expect(gate.waiting).toBe(0);
});
