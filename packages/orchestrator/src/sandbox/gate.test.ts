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
