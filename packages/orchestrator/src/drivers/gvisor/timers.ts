import { type ProcessRef, ranTicks, setTimerSlack } from '../../host/process.ts';

/**
 * How late the timers of an idle sentry may fire. It looks at its own speed 2,500 times a second, whether or not a program runs,
 * which is 1.7 % of a CPU for every idle sandbox; so it is 0.4 %. Decision 0020.
 */
export const IDLE_SLACK_NS = 4_000_000;

/** The kernel's default. A request that one side waits for before it sends the next is ten times faster with it. */
export const BUSY_SLACK_NS = 50_000;

const LOOK_MS = 500;

/** Clock ticks between two looks from which on a sentry is busy: 8 % of a CPU. On time but idle, and asked for a sample, it takes up to 5 %. */
const BUSY_TICKS = 4;

/** Looks in a row without that, after which it is idle. */
const IDLE_LOOKS = 6;

interface Sentry {
  ref: ProcessRef;
  ranTicks: number;
  busy: boolean;
  idleLooks: number;
}

/** Has the timers of busy sentries fire on time and those of idle ones late, which lets an idle sandbox cost next to nothing. */
export class SentryTimers {
  readonly #sentries = new Map<string, Sentry>();
  readonly #timer = setInterval(() => this.#look(), LOOK_MS).unref();

  /** Watches a sentry that has the slack of an idle or a busy one. */
  add(id: string, ref: ProcessRef, is: 'idle' | 'busy'): void {
    this.#sentries.set(id, { ref, ranTicks: ranTicks(ref) ?? 0, busy: is === 'busy', idleLooks: 0 });
  }

  remove(id: string): void {
    this.#sentries.delete(id);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const [id, sentry] of this.#sentries) {
      const ticks = ranTicks(sentry.ref);
      if (ticks === undefined) {
        this.#sentries.delete(id);
        continue;
      }
      const ran = ticks - sentry.ranTicks;
      sentry.ranTicks = ticks;
      sentry.idleLooks = ran < BUSY_TICKS ? sentry.idleLooks + 1 : 0;
      const busy = sentry.busy ? sentry.idleLooks < IDLE_LOOKS : sentry.idleLooks === 0;
      if (busy === sentry.busy) continue;
      sentry.busy = busy;
      setTimerSlack(sentry.ref, busy ? BUSY_SLACK_NS : IDLE_SLACK_NS);
    }
  }
}
