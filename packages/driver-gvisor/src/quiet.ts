/** `busy`: it works; `idle`: little happens in it; `still`: nothing but what its runtime does by itself. */
export type Activity = 'busy' | 'idle' | 'still';

/** Processor time between two looks from which on a look is loud, ms. */
const LOUD_MS = 40;

/**
 * From which on it is loud whatever the host's processor: the runtime of one on time takes up to 76 by itself on a slow one. Below
 * it, a sandbox may be idle all the same.
 */
const LOUD_ANYWHERE_MS = 120;

/**
 * Loud looks of the last ones from which on a sandbox is busy. A sample that it is asked for is loud in up to three on a slow
 * host, and nothing that its programs do.
 */
const BUSY_LOOKS = 4;

/** The last looks, by which it is told how quiet it is. */
const WINDOW = 6;

/** Looks for which one that is idle is so before it is tried for still. */
const IDLE_LOOKS = 6;

/** The first looks at one that is still tell of what it was asked for before. */
const SETTLING_LOOKS = 2;

/**
 * The most that one takes at a look while it is still, ms: its runtime takes 0.5, a program that wakes ten times a second 2.5
 * more. Of what it took while it was idle it is this share at most: a slow host takes 4.5 and 12, and the program ten more of both.
 */
const STILL_MS = 2;
const STILL_SHARE = 0.45;

/** Looks after which a sandbox in which programs were seen to run is taken for idle, or for still, once more. */
const AGAIN_LOOKS = 120;

/**
 * How quiet a sandbox is, by the processor time that it takes between looks half a second apart. Whether programs run in one that
 * takes little shows only when its runtime takes less: so that is tried, and taken back if they do.
 */
export class Quiet {
  /** What its timers go by. */
  activity: Activity = 'busy';
  /**
   * The most that it is taken for. It may only look quiet: what is to run in it may wait for a CPU of the host, and late timers
   * would have it wait the longer.
   */
  most: Activity = 'busy';
  /** In a row, as it is now. */
  #looks = 0;
  /** Of a busy one, in a row, at which it may be idle; and until that is tried. */
  #maybe = 0;
  #patienceForIdle = 1;
  /** Until it may be still. */
  #patienceForStill = IDLE_LOOKS;
  /** Processor time at the last looks as it is now, ms. */
  #window: number[] = [];
  /** The most at a look of one that is still, ms. */
  #stillMs = STILL_MS;

  /** @param usedMs since the last look */
  look(usedMs: number): Activity {
    this.#looks++;
    this.#window = [...this.#window, usedMs].slice(-WINDOW);
    if (this.activity === 'busy') this.#lookAtBusy();
    else if (this.activity === 'idle') this.#lookAtIdle();
    else this.#lookAtStill(usedMs);
    return this.activity;
  }

  /** Somebody waits for something of it. */
  rouse(): void {
    if (this.activity === 'still') this.#become('busy');
  }

  #lookAtBusy(): void {
    if (this.#window.length < WINDOW) return;
    if (this.#isLoud(LOUD_MS)) this.#patienceForStill = IDLE_LOOKS;
    this.#maybe = this.#isLoud(LOUD_ANYWHERE_MS) ? 0 : this.#maybe + 1;
    if (this.#maybe === 0) this.#patienceForIdle = 1;
    if (this.most === 'busy') return;
    if (!this.#isLoud(LOUD_MS) || this.#maybe >= this.#patienceForIdle) this.#become('idle');
  }

  #lookAtIdle(): void {
    if (this.#isLoud(LOUD_MS)) {
      if (this.#looks <= WINDOW) this.#patienceForIdle = AGAIN_LOOKS;
      this.#patienceForStill = IDLE_LOOKS;
      this.#become('busy');
    } else if (this.most === 'still' && this.#looks >= this.#patienceForStill) {
      this.#stillMs = Math.max(STILL_MS, median(this.#window) * STILL_SHARE);
      this.#become('still');
    }
  }

  #lookAtStill(usedMs: number): void {
    if (this.#looks <= SETTLING_LOOKS) this.#window = [];
    else if (usedMs >= LOUD_MS) {
      this.#patienceForStill = IDLE_LOOKS;
      this.#become('busy');
    } else if (this.#window.reduce((sum, used) => sum + used, 0) > WINDOW * this.#stillMs) {
      this.#patienceForStill = AGAIN_LOOKS;
      this.#become('idle');
    }
  }

  #isLoud(fromMs: number): boolean {
    return this.#window.filter((usedMs) => usedMs >= fromMs).length >= BUSY_LOOKS;
  }

  #become(activity: Activity): void {
    this.activity = activity;
    this.#looks = 0;
    this.#maybe = 0;
    this.#window = [];
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
