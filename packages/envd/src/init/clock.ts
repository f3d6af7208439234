import type { Logger } from '../log/logger.ts';
import type { Machine } from '../native/machine.ts';

/** A time, Unix ms: the node's with GET /metrics, the machine's in the answer to POST /init. */
export const CLOCK_HEADER = 'x-clock';

/** The clock is stepped when it is further behind or ahead than this, ms: what it is told took a while to come. */
const MAX_BEHIND_MS = 50;
const MAX_AHEAD_MS = 5000;

export interface ClockDeps {
  /** Absent if envd is not the init process: then the clock is not its own to set. */
  machine: Pick<Machine, 'setClock'> | undefined;
  /** Unix milliseconds. */
  now: () => number;
  logger: Logger;
}

/** The machine's clock. One of a virtual machine stands still while that is stopped. */
export class Clock {
  readonly #deps: ClockDeps;

  constructor(deps: ClockDeps) {
    this.#deps = deps;
  }

  /** Takes over a time that somebody outside told, in Unix ms. */
  keep(toldMs: number): void {
    const { machine, now, logger } = this.#deps;
    const behind = toldMs - now();
    if (!machine || (behind <= MAX_BEHIND_MS && behind >= -MAX_AHEAD_MS)) return;
    try {
      machine.setClock(toldMs);
    } catch (error) {
      // Under gVisor the clock is the host's and nobody may step it, nor needs to.
      logger.log('debug', 'cannot step the clock', { error });
    }
  }
}
