import { type ProcessRef, ranTicks, setTimerSlack } from '@islet/host';
import { type Activity, Quiet } from './quiet.ts';

/**
 * How late the timers of a sentry may fire, ns. It looks at its own speed 2,500 times a second, whether or not a program runs,
 * which is up to 3 % of a CPU for every sandbox; late, it is 0.6 or 0.1 %. Decisions 0020 and 0042.
 */
export const SLACK_NS: Readonly<Record<Activity, number>> = {
  /** The kernel's default. A request that one side waits for before it sends the next is ten times faster with it. */
  busy: 50_000,
  idle: 4_000_000,
  still: 50_000_000,
};

const LOOK_MS = 500;

const TICK_MS = 10;

export interface WatchedSentry {
  ref: ProcessRef;
  /** Processor time of the sandbox until now, ms; undefined if nobody counts. */
  usedMs: () => number | undefined;
}

interface Sentry extends WatchedSentry {
  lastMs: number;
  quiet: Quiet;
}

/** Has the timers of busy sentries fire on time and those of others late, which lets an idle sandbox cost next to nothing. */
export class SentryTimers {
  readonly #sentries = new Map<string, Sentry>();
  readonly #timer = setInterval(() => this.#look(), LOOK_MS).unref();

  /**
   * Watches a sentry whose timers are on time, as they are at its start. They stay so until it is known what is expected of it:
   * a start may have no processor for long if the host is busy.
   */
  add(id: string, watched: WatchedSentry): void {
    this.#sentries.set(id, { ...watched, lastMs: usedMs(watched) ?? 0, quiet: new Quiet() });
  }

  /** Undefined if it is not watched. */
  activity(id: string): Activity | undefined {
    return this.#sentries.get(id)?.quiet.activity;
  }

  /** Somebody waits for something of a sentry, or nobody does. The timers of one that was still fire on time at once. */
  expect(id: string, wanted: boolean): void {
    const sentry = this.#sentries.get(id);
    if (!sentry) return;
    const { quiet, ref } = sentry;
    quiet.most = wanted ? 'idle' : 'still';
    if (!wanted || quiet.activity !== 'still') return;
    quiet.rouse();
    setTimerSlack(ref, SLACK_NS.busy);
  }

  /** Leaves it as it is. */
  remove(id: string): void {
    this.#sentries.delete(id);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const [id, sentry] of this.#sentries) {
      const now = usedMs(sentry);
      if (now === undefined) {
        this.#sentries.delete(id);
        continue;
      }
      const before = sentry.quiet.activity;
      const activity = sentry.quiet.look(now - sentry.lastMs);
      sentry.lastMs = now;
      if (activity !== before) setTimerSlack(sentry.ref, SLACK_NS[activity]);
    }
  }
}

/** Undefined if it has ended. */
function usedMs({ ref, usedMs }: WatchedSentry): number | undefined {
  const used = usedMs();
  if (used !== undefined) return used;
  const ticks = ranTicks(ref);
  return ticks === undefined ? undefined : ticks * TICK_MS;
}
