import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Places } from './places.ts';

const never = new AbortController().signal;
setMaxListeners(0, never);

describe('places for builds', () => {
  it('are a bounded number, given in the order of asking', async () => {
    const places = new Places(2);
    const held = [await places.take('a', never), await places.take('a', never)];
    expect(places.isFull('a')).toBe(true);
    const order: number[] = [];
    const waiting = [1, 2].map((n) =>
      places.take('a', never).then((place) => ({ place, at: order.push(n) })),
    );
    held[0]?.[Symbol.dispose]();
    (await waiting[0])?.place[Symbol.dispose]();
    await waiting[1];
    expect(order).toEqual([1, 2]);
  });

  it('are there for a team that has none, whatever another has running and waiting', async () => {
    const places = new Places(2);
    for (let n = 0; n < 2; n++) await places.take('many', never);
    const waiting = Array.from({ length: 20 }, () => places.take('many', never));
    const [one, two] = [await places.take('one', never), await places.take('two', never)];
    // No more than twice as many in all.
    expect(places.isFull('three')).toBe(true);
    let third = false;
    const three = places.take('three', never).then(() => {
      third = true;
    });
    one[Symbol.dispose]();
    await three;
    expect(third).toBe(true);
    two[Symbol.dispose]();
    expect(places.isFull('many')).toBe(true);
    await Promise.race([...waiting, Promise.resolve('nobody else')]).then((first) =>
      expect(first).toBe('nobody else'),
    );
  });

  it('are not waited for any longer than the build wants', async () => {
    const places = new Places(1);
    const held = await places.take('a', never);
    const stop = new AbortController();
    const waiting = places.take('a', stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    held[Symbol.dispose]();
    expect(places.isFull('a')).toBe(false);
  });
});
