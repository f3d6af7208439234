import type { Machine, SandboxDriver } from '@islet/driver';
import { apart, type Logger } from '@islet/telemetry';
import { LEAKS } from '../figures/operations.ts';
import { MEMORY_MS, warmTarget } from './policy.ts';

/** What a pool keeps: a machine, as far as it can be got ready before it is known for whom. */
export interface Warm {
  machine: Machine;
}

export interface WarmPoolOptions<Item extends Warm> {
  driver: SandboxDriver;
  /** Gets one of a kind ready that nobody has asked for yet. */
  start: (kind: string) => Promise<Item>;
  /** Ends one and frees what it holds. */
  discard: (item: Item) => Promise<void>;
  /** Kept ready over all kinds; 0 turns the pool off. */
  most: number;
  /** True while there is work that comes first. */
  isBusy: () => boolean;
  now: () => number;
  logger: Logger;
}

interface Kind<Item> {
  ready: Item[];
  /** When they were taken, ms, ascending. */
  takes: number[];
}

/** How long a kind without demand is kept ready, unless it is the last one used, ms. */
const IDLE_MS = 10 * 60_000;
const TICK_MS = 1_000;
const BUSY_PAUSE_MS = 20;

/**
 * Machines got ready ahead of demand, by kind: as many of each as its demand was, see `warmTarget`. It makes the next by
 * itself. Until they are taken they stand still.
 */
export class WarmPool<Item extends Warm> {
  readonly #options: WarmPoolOptions<Item>;
  /** In the order of their last use. */
  readonly #kinds = new Map<string, Kind<Item>>();
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(options: WarmPoolOptions<Item>) {
    this.#options = options;
    if (options.most > 0) this.#timer = setInterval(() => this.#startWork(), TICK_MS).unref();
  }

  /** True while it makes one. */
  get isFilling(): boolean {
    return this.#work !== undefined;
  }

  /** How many are ready, of all kinds. */
  get ready(): number {
    return [...this.#kinds.values()].reduce((sum, { ready }) => sum + ready.length, 0);
  }

  /** Begins to keep some of a kind ready. */
  keep(kind: string): void {
    if (this.#options.most === 0 || this.#kinds.has(kind)) return;
    this.#kinds.set(kind, { ready: [], takes: [] });
    this.#startWork();
  }

  /** A ready one of a kind that runs, or undefined if there is none: start one then. Counts as demand either way. */
  async take(name: string): Promise<Item | undefined> {
    if (this.#options.most === 0 || this.#closing) return undefined;
    const { driver, logger, now } = this.#options;
    const kind = this.#kinds.get(name) ?? { ready: [], takes: [] };
    this.#kinds.delete(name);
    this.#kinds.set(name, kind);
    kind.takes = [...kind.takes.filter((time) => now() - time < MEMORY_MS), now()];
    this.#startWork();
    for (let item = kind.ready.shift(); item; item = kind.ready.shift()) {
      try {
        if (!driver.isAlive(item.machine)) throw new Error('it has ended');
        await driver.thaw(item.machine);
        return item;
      } catch (error) {
        logger.warn({ err: error, machineId: item.machine.id }, 'a sandbox kept ready is of no use');
        void this.#discard(item);
      }
    }
    return undefined;
  }

  /** Ends those of a kind and keeps none of it any more. */
  drop(name: string): void {
    const kind = this.#kinds.get(name);
    this.#kinds.delete(name);
    for (const item of kind?.ready.splice(0) ?? []) void this.#discard(item);
  }

  /** As `drop`, for all other kinds. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of [...this.#kinds.keys()].filter((kind) => !names.has(kind))) this.drop(name);
  }

  /** Ends all that nobody took. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#timer);
    await this.#work;
    const left = [...this.#kinds.values()].flatMap((kind) => kind.ready.splice(0));
    await Promise.all(left.map((item) => this.#options.discard(item)));
  }

  #startWork(): void {
    if (this.#work || this.#closing) return;
    this.#work = apart(() => this.#fill()).finally(() => {
      this.#work = undefined;
    });
  }

  /** One at a time, for the kind used last first. */
  async #fill(): Promise<void> {
    while (!this.#closing) {
      const step = this.#nextStep();
      if (!step) return;
      if (this.#options.isBusy()) {
        await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
        continue;
      }
      if (step.do === 'discard') await this.#discard(step.take());
      else await this.#add(step.name, step.kind);
    }
  }

  async #add(name: string, kind: Kind<Item>): Promise<void> {
    try {
      const item = await this.#startFrozen(name);
      if (this.#kinds.get(name) === kind) kind.ready.push(item);
      else void this.#discard(item); // it was dropped meanwhile
    } catch (error) {
      if (this.#kinds.get(name) !== kind) return; // what it was to start from went with the kind
      this.#options.logger.warn({ err: error, kind: name }, 'a sandbox could not be started ahead of demand');
      this.#kinds.delete(name); // starts go on, cold, and bring the kind back
      for (const item of kind.ready) void this.#discard(item);
    }
  }

  async #startFrozen(name: string): Promise<Item> {
    const item = await this.#options.start(name);
    try {
      await this.#options.driver.freeze(item.machine);
      return item;
    } catch (error) {
      void this.#discard(item);
      throw error;
    }
  }

  #nextStep() {
    const { most, now } = this.#options;
    const kinds = [...this.#kinds].reverse();
    let room = most;
    for (const [index, [name, kind]] of kinds.entries()) {
      const lastTake = kind.takes.at(-1) ?? 0;
      const unused = index > 0 && now() - lastTake > IDLE_MS;
      const target = unused ? 0 : warmTarget(kind.takes, now(), room);
      const { ready } = kind;
      if (ready.length > target)
        return { do: 'discard', take: () => ready.splice(target, 1)[0] as Item } as const;
      if (ready.length < target) return { do: 'start', name, kind } as const;
      room -= target;
    }
    return undefined;
  }

  /** What fails of it is logged. */
  async #discard(item: Item): Promise<void> {
    const about = { machineId: item.machine.id };
    await this.#options.discard(item).catch((error: unknown) => {
      LEAKS.add();
      this.#options.logger.error({ err: error, ...about }, 'a sandbox left something behind');
    });
  }
}
