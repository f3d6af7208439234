import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

/** Work that ends when it is told to, and the order in which it began. */
function newWork(turns: Turns<string>) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const done: Promise<unknown>[] = [];
  const ask = (key: string, name: string) => {
    const work = () =>
      new Promise<void>((resolve) => {
        begun.push(name);
        ends.set(name, resolve);
      });
    done.push(turns.run(key, work));
  };
  const end = async (name: string) => {
    ends.get(name)?.();
    await new Promise(setImmediate);
  };
  return { ask, begun, done, end };
}

it('lets one that asks for much wait for itself, and nobody else for it', async () => {
  const { ask, begun, end } = newWork(new Turns<string>(4, 2));
  for (let i = 0; i < 100; i++) ask('greedy', `greedy ${i}`);
  ask('modest', 'modest');
  expect(begun).toEqual(['greedy 0', 'greedy 1', 'modest']);
  await end('greedy 0');
  expect(begun.slice(3)).toEqual(['greedy 2']);
});

it('gives turns in a row if all of it is taken', async () => {
  const { ask, begun, done, end } = newWork(new Turns<string>(2, 2));
  for (const name of ['a0', 'a1', 'a2', 'a3', 'b0', 'b1', 'c0']) ask(name[0] as string, name);
  for (const name of ['a0', 'a1', 'a2', 'b0', 'c0', 'a3', 'b1']) await end(name);
  expect(begun).toEqual(['a0', 'a1', 'a2', 'b0', 'c0', 'a3', 'b1']);
  await Promise.all(done);
});

it('goes on after work that fails', async () => {
  const turns = new Turns<string>(1, 1);
  const failing = turns.run('a', async () => {
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(await turns.run('b', async () => 'yes')).toBe('yes');
});
