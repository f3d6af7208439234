import type { Standstill } from './standstill.ts';

/** How late a timer is on a machine that is merely busy, ms. */
const LATE_MS = 100;

/**
 * What a timer whose time has come waits for word from the node that the machine stood still, ms: one that comes on time may come
 * just behind a standstill, one that is late is so for one most often.
 */
const WORD_MS = { onTime: 200, late: 5_000 };

interface LivedTimer {
  /** On the monotonic clock, as `dueAt`. */
  readonly setAt: number;
  dueAt: number;
  readonly run: () => void;
  handle: NodeJS.Timeout | undefined;
}

/**
 * Timers for what clients asked for: they count the time in which the machine ran. A machine that is saved and restored, or only
 * stopped for a while, finds that its clock has gone on; the node tells for how long it stood still.
 */
export class LivedTimers {
  readonly #now: () => number;
  readonly #timers = new Set<LivedTimer>();
  /** Standstills until then are counted, Unix ms: the node may tell of one more than once. */
  #countedTo = 0;

  /** @param now milliseconds on the clock that timers go by */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Calls `run` once, after `ms` of the machine's life. Gives back the way to give that up. */
  after(ms: number, run: () => void): () => void {
    const setAt = this.#now();
    const timer: LivedTimer = { setAt, dueAt: setAt + ms, run, handle: undefined };
    this.#timers.add(timer);
    this.#arm(timer);
    return () => {
      clearTimeout(timer.handle);
      this.#timers.delete(timer);
    };
  }

  /** Puts off what was set before a standstill by the time that this took. */
  stoodStill({ from, to }: Standstill): void {
    const ms = to - Math.max(from, this.#countedTo);
    if (ms <= 0) return;
    this.#countedTo = to;
    const now = this.#now();
    for (const timer of this.#timers) {
      timer.dueAt += Math.min(ms, now - timer.setAt);
      this.#arm(timer);
    }
  }

  #arm(timer: LivedTimer): void {
    clearTimeout(timer.handle);
    timer.handle = setTimeout(() => this.#await(timer), Math.max(0, timer.dueAt - this.#now())).unref();
  }

  #await(timer: LivedTimer): void {
    const isLate = this.#now() - timer.dueAt > LATE_MS;
    const carryOut = () => {
      this.#timers.delete(timer);
      timer.run();
    };
    timer.handle = setTimeout(carryOut, isLate ? WORD_MS.late : WORD_MS.onTime).unref();
  }
}
