import { describe, expect, it } from 'vitest';
import { inRounds, inTurns } from './rounds.ts';

/** A clock that moves on by `stepMs` with each look at it. */
function options(stepMs = 0, signal = new AbortController().signal) {
  let time = 0;
  const seen: string[] = [];
  return {
    seen,
    signal,
    progress: (done: number, total: number) => seen.push(`${done}/${total}`),
    now: () => {
      time += stepMs;
      return time;
    },
  };
}

describe('inRounds', () => {
  it('runs as often as asked for, and tells how far it is', async () => {
    const given = options();
    const rounds: number[] = [];
    await inRounds({ rounds: 3, budgetMs: 1000 }, given, async (index) => void rounds.push(index));
    expect(rounds).toEqual([0, 1, 2]);
    expect(given.seen).toEqual(['0/3', '1/3', '2/3']);
  });

  it('stops when its time is used up, but not before the first round', async () => {
    let count = 0;
    const round = async () => void count++;
    await inRounds({ rounds: 100, budgetMs: 35 }, options(10), round);
    expect(count).toBe(4);
    await inRounds({ rounds: 100, budgetMs: 1 }, options(10), round);
    expect(count).toBe(5);
  });

  it('stops between two rounds when it is interrupted', async () => {
    const controller = new AbortController();
    let count = 0;
    const running = inRounds({ rounds: 9, budgetMs: 1000 }, options(0, controller.signal), async () => {
      if (++count === 2) controller.abort(new Error('interrupted'));
    });
    await expect(running).rejects.toThrow('interrupted');
    expect(count).toBe(2);
  });
});

describe('inTurns', () => {
  it('alternates, and leaves the first run of each out', async () => {
    const order: string[] = [];
    const measure = (name: string) => async () => {
      order.push(name);
      return `${name}${order.length}`;
    };
    const results = await inTurns({ rounds: 2, budgetMs: 1000 }, options(), [measure('a'), measure('b')]);
    expect(order.join('')).toBe('ababab');
    expect(results).toEqual([
      ['a3', 'a5'],
      ['b4', 'b6'],
    ]);
  });
});
