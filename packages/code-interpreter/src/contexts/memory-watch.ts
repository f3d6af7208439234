import type { MemoryState } from '../sandbox/memory.ts';

/** A sandbox that runs out of memory is ended: what is left is for envd, this server, and the time that an end takes. KiB. */
const RESERVE = 128 * 1024;
/** Of a small sandbox, this part. */
const RESERVE_PART = 1 / 8;
/** How fast memory is taken at most, KiB a millisecond: 2 GB/s, four times what was measured. */
const FASTEST = 2048;
const PAUSE_MS = { least: 20, most: 250 };

/** What memory is taken by, and can be ended. */
export interface Consumer {
  /** Undefined: it has no process. */
  readonly processGroup: number | undefined;
  /** Resolves when its process has ended. */
  endProcess(reason: string): Promise<void>;
}

export interface MemoryWatchOptions {
  read: () => MemoryState | undefined;
  residentByGroup: () => Map<number, number>;
  consumers: () => readonly Consumer[];
}

/**
 * Looks at the sandbox's memory while cells run, and ends the context that holds most of it before all of it is taken: the others, and the
 * sandbox, go on. Between cells it does nothing.
 */
export class MemoryWatch {
  readonly #options: MemoryWatchOptions;
  #running = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MemoryWatchOptions) {
    this.#options = options;
  }

  /** Watches while a task runs. */
  async during<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running++ === 0) this.#look();
    try {
      return await task();
    } finally {
      if (--this.#running === 0) clearTimeout(this.#timer);
    }
  }

  #look(): void {
    const memory = this.#options.read();
    // Nothing is known of it outside of a sandbox that says.
    if (!memory) return;
    if (isShort(memory)) void this.#relieve(memory).finally(() => this.#again(PAUSE_MS.most));
    else this.#again(pauseBefore(memory));
  }

  #again(ms: number): void {
    if (this.#running > 0) this.#timer = setTimeout(() => this.#look(), ms);
  }

  async #relieve({ total }: MemoryState): Promise<void> {
    const sizes = this.#options.residentByGroup();
    const sizeOf = ({ processGroup }: Consumer) => sizes.get(processGroup ?? -1) ?? 0;
    const [greediest] = [...this.#options.consumers()].sort((one, other) => sizeOf(other) - sizeOf(one));
    // Something else has taken it: to end a context would not help.
    if (!greediest || sizeOf(greediest) < reserveOf(total)) return;
    const [held, all] = [sizeOf(greediest), total].map((size) => Math.round(size / 1024));
    await greediest.endProcess(`it held ${held} of the ${all} MiB of the sandbox, which had no more`);
  }
}

const reserveOf = (total: number) => Math.min(RESERVE, total * RESERVE_PART);

function isShort({ total, available }: MemoryState): boolean {
  return available < reserveOf(total);
}

/** The next look comes before the rest could be taken, ms. */
function pauseBefore({ total, available }: MemoryState): number {
  const ms = (available - reserveOf(total)) / FASTEST;
  return Math.min(PAUSE_MS.most, Math.max(PAUSE_MS.least, ms));
}
