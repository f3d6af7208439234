import { beforeEach, describe, expect, it } from 'vitest';
import { Turns } from './turns.ts';

const TURN_MS = 2;

/**
 * A thread whose clock is moved by what is done on it, and that serves what is ready in rounds, as an event loop
 * does.
 */
class Thread {
  clock = 0;
  readonly turns = new Turns({
    turnMs: TURN_MS,
    now: () => this.clock,
    afterOthers: (begin) => void this.#immediates.push(begin),
  });
  #immediates: (() => void)[] = [];
  #ready: (() => void)[] = [];

  /** Something of this tenant's becomes ready, which takes so long to serve. */
  ready(tenant: string, ms: number, served = () => {}): void {
    this.#ready.push(() => {
      this.turns.run(tenant, () => {
        this.clock += ms;
      });
      served();
    });
  }

  /** A socket that has something to read again as soon as it was read, in pieces that take so long. */
  flood(tenant: string, pieceMs: number, served = () => {}): void {
    const read = () =>
      this.ready(tenant, pieceMs, () => {
        served();
        if (this.turns.isOver(tenant)) this.turns.enter(tenant, read);
        else read();
      });
    read();
  }

  /** Serves everything that is ready now, once. Gives how long that took. */
  round(): number {
    const [beganAt, ready, immediates] = [this.clock, this.#ready, this.#immediates];
    [this.#ready, this.#immediates] = [[], []];
    for (const serve of ready) serve();
    for (const begin of [...immediates, ...this.#immediates.splice(0)]) begin();
    return this.clock - beganAt;
  }
}

let thread: Thread;
beforeEach(() => {
  thread = new Thread();
});

function rounds(count: number): number[] {
  return Array.from({ length: count }, () => thread.round());
}

describe('a tenant that floods', () => {
  it.each([1, 16, 500, 4_000])('takes no more than its turn of a round, over %i sockets', (sockets) => {
    for (let i = 0; i < sockets; i++) thread.flood('loud', 0.05);
    // Each socket is read once before it is known what it does.
    const [, ...later] = rounds(400);
    const settled = later.slice(Math.ceil((sockets * 0.05) / TURN_MS));
    expect(settled.length).toBeGreaterThan(100);
    expect(Math.max(...settled)).toBeLessThan(2 * TURN_MS);
  });

  it('has another wait for its turn alone', () => {
    for (let i = 0; i < 500; i++) thread.flood('loud', 0.05);
    rounds(20);
    const waits: number[] = [];
    for (let i = 0; i < 100; i++) {
      const askedAt = thread.clock;
      thread.ready('quiet', 0.05, () => waits.push(thread.clock - askedAt));
      thread.round();
    }
    expect(waits).toHaveLength(100);
    expect(Math.max(...waits)).toBeLessThan(2 * TURN_MS);
  });

  it('gets no more than another that floods over fewer sockets', () => {
    const pieces = { many: 0, few: 0 };
    const count = (tenant: keyof typeof pieces) => () => {
      pieces[tenant]++;
    };
    for (let i = 0; i < 1_000; i++) thread.flood('many', 0.05, count('many'));
    for (let i = 0; i < 40; i++) thread.flood('few', 0.05, count('few'));
    rounds(50);
    Object.assign(pieces, { many: 0, few: 0 });
    rounds(200);
    expect(pieces.few).toBeGreaterThan(1_000);
    expect(pieces.many / pieces.few).toBeGreaterThan(0.8);
    expect(pieces.many / pieces.few).toBeLessThan(1.25);
  });

  it('is never held up for good, and gets the whole thread when it is alone', () => {
    let served = 0;
    const read = () =>
      thread.ready('alone', 0.5, () => {
        served++;
        thread.turns.enter('alone', read);
      });
    for (let i = 0; i < 10; i++) read();
    rounds(1_000);
    // The clock moves with work alone: all of it was the tenant's.
    expect(served * 0.5).toBeCloseTo(thread.clock);
    expect(served).toBeGreaterThan(1_000);
  });
});

it('takes a mishap from the turns after it, and only so many', () => {
  thread.ready('t', 1_000);
  thread.round();
  const waits: number[] = [];
  thread.turns.enter('t', () => waits.push(1));
  expect(thread.turns.isOver('t')).toBe(true);
  rounds(30);
  expect(waits).toEqual([]);
  rounds(2);
  expect(waits).toEqual([1]);
});

it('lets those that wait go on in their order', () => {
  thread.ready('t', TURN_MS);
  const order: number[] = [];
  thread.ready('t', 0, () => {
    for (const i of [1, 2, 3]) thread.turns.enter('t', () => order.push(i));
  });
  thread.round();
  expect(order).toEqual([1, 2, 3]);
});

it('holds up nobody who stays below a turn', () => {
  const began: string[] = [];
  for (const tenant of ['a', 'b', 'c']) {
    thread.turns.charge(tenant, TURN_MS * 0.9);
    thread.turns.enter(tenant, () => began.push(tenant));
  }
  expect(began).toEqual(['a', 'b', 'c']);
});

it('counts work that fails', () => {
  const fail = () => {
    thread.clock += TURN_MS;
    throw new Error('failed');
  };
  expect(() => thread.turns.run('t', fail)).toThrow('failed');
  expect(thread.turns.isOver('t')).toBe(true);
});

it('counts work within work once, for whoever it is done for', () => {
  const spend = (ms: number) => {
    thread.clock += ms;
  };
  const outer = thread.turns.run('outer', () => {
    spend(1);
    expect(thread.turns.run('inner', () => spend(TURN_MS))).toBe(TURN_MS);
    spend(0.5);
  });
  expect(outer).toBe(1.5);
  expect(thread.turns.isOver('inner')).toBe(true);
  expect(thread.turns.isOver('outer')).toBe(false);
});
