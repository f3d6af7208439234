/** `busy`: it works; `idle`: little happens in it; `still`: nothing but what its runtime does by itself. */
export type Activity = 'busy' | 'idle' | 'still';

/** Processor time between two looks from which on a sandbox is busy, ms. On time but idle, and asked for a sample, it takes up to 25. */
const BUSY_MS = 40;

/**
 * Processor time between two looks up to which it may be idle all the same, ms: what the runtime of one on time takes by itself
 * depends on the host's processor. On a slow one it was seen to take up to 76.
 */
const MAYBE_IDLE_MS = 120;

/** Looks in a row without that, after which it is idle. */
const IDLE_LOOKS = 6;

/** Looks in a row, the last ones, that say whether programs run in one that is still. */
const WINDOW = 6;

/** Of them together, ms: the runtime takes 3 of a still one, a program that wakes ten times a second 15 more. */
const STILL_MS = 12;

/** Looks after which a sandbox in which programs were seen to run is taken for idle, or for still, once more. */
const AGAIN_LOOKS = 120;

/**
 * How quiet a sandbox is, by the processor time that it takes between looks half a second apart. Whether programs run in one that
 * takes little shows only when its runtime takes less: so that is tried, and taken back if they do.
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
  /** Of a busy one, in a row: so far that it is idle, and that it may be. */
  #calm = 0;
  #maybe = 0;
  /** Of those that it may be, until that is tried. */
  #patienceForIdle = IDLE_LOOKS;
  /** Until it may be still. */
  #patienceForStill = IDLE_LOOKS;
  #window: number[] = [];

  /** @param usedMs since the last look */
  look(usedMs: number): Activity {
    this.#looks++;
    if (this.activity === 'busy') this.#lookAtBusy(usedMs);
    else if (usedMs >= BUSY_MS) {
      if (this.activity === 'idle' && this.#looks <= IDLE_LOOKS) this.#patienceForIdle = AGAIN_LOOKS;
      this.#patienceForStill = IDLE_LOOKS;
      this.#become('busy');
    } else if (this.activity === 'idle') {
      if (this.most === 'still' && this.#looks >= this.#patienceForStill) this.#become('still');
    } else {
      this.#window = [...this.#window, usedMs].slice(-WINDOW);
      if (this.#window.reduce((sum, used) => sum + used, 0) > STILL_MS) {
        this.#patienceForStill = AGAIN_LOOKS;
        this.#become('idle');
      }
    }
    return this.activity;
  }

  #lookAtBusy(usedMs: number): void {
    this.#calm = usedMs < BUSY_MS ? this.#calm + 1 : 0;
    this.#maybe = usedMs < MAYBE_IDLE_MS ? this.#maybe + 1 : 0;
    if (usedMs >= BUSY_MS) this.#patienceForStill = IDLE_LOOKS;
    if (this.#maybe === 0) this.#patienceForIdle = IDLE_LOOKS;
    if (this.most === 'busy') return;
    if (this.#calm >= IDLE_LOOKS || this.#maybe >= this.#patienceForIdle) this.#become('idle');
  }

  /** Somebody waits for something of it. */
  rouse(): void {
    if (this.activity === 'still') this.#become('busy');
  }

  #become(activity: Activity): void {
    this.activity = activity;
    this.#looks = 0;
    this.#calm = 0;
    this.#maybe = 0;
    this.#window = [];
  }
}
