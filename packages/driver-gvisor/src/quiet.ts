/** `busy`: it works; `idle`: little happens in it; `still`: nothing but what its runtime does by itself. */
export type Activity = 'busy' | 'idle' | 'still';

/** Processor time between two looks from which on a sandbox is busy, ms. On time but idle, and asked for a sample, it takes up to 25. */
const BUSY_MS = 40;

/** Looks in a row without that, after which it is idle. */
const IDLE_LOOKS = 6;

/** Looks in a row, the last ones, that say whether programs run in one that is still. */
const WINDOW = 6;

/** Of them together, ms: the runtime takes 3 of a still one, a program that wakes ten times a second 15 more. */
const STILL_MS = 12;

/** Looks after which a sandbox in which programs were seen to run is taken for still once more. */
const AGAIN_LOOKS = 120;

/**
 * How quiet a sandbox is, by the processor time that it takes between looks half a second apart. Whether programs run in an idle one
 * shows only when its runtime is still: so that is tried, and taken back if they do.
 */
export class Quiet {
  activity: Activity = 'busy';
  /**
   * The most that it is taken for. It may only look quiet: what is to run in it may wait for a CPU of the host, and late timers
   * would have it wait the longer.
   */
  most: Activity = 'busy';
  /** In a row, as it is now. */
  #looks = 0;
  /** Until it may be still. */
  #patience = IDLE_LOOKS;
  #window: number[] = [];

  /** @param usedMs since the last look */
  look(usedMs: number): Activity {
    this.#looks++;
    if (usedMs >= BUSY_MS) {
      this.#patience = IDLE_LOOKS;
      this.#become('busy');
    } else if (this.activity === 'busy') {
      if (this.most !== 'busy' && this.#looks >= IDLE_LOOKS) this.#become('idle');
    } else if (this.activity === 'idle') {
      if (this.most === 'still' && this.#looks >= this.#patience) this.#become('still');
    } else {
      this.#window = [...this.#window, usedMs].slice(-WINDOW);
      if (this.#window.reduce((sum, used) => sum + used, 0) > STILL_MS) {
        this.#patience = AGAIN_LOOKS;
        this.#become('idle');
      }
    }
    return this.activity;
  }

  /** Somebody waits for something of it. */
  rouse(): void {
    if (this.activity === 'still') this.#become('busy');
  }

  #become(activity: Activity): void {
    this.activity = activity;
    this.#looks = 0;
    this.#window = [];
  }
}
