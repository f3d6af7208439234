import type { KeptContents, StoreContents } from '@islet/catalog';
import { liveStoreUnavailable, pauseFor } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import { defineScript, type RedisConnection } from '../connection.ts';

export interface EpochOptions {
  redis: RedisConnection;
  /** How long nobody is given a place after an epoch has begun, ms: until all control planes have told what they start. */
  graceMs: number;
  logger: Logger;
}

/** Longer than a control plane needs to connect again, to see that all is lost and to write what it starts, ms. */
export const GRACE_MS = 3_000;
/** How often it is looked whether the epoch still is the same, ms. */
const LOOK_MS = 2_000;
/** Before the next try after one that failed, ms. */
const AGAIN_MS = 500;

/** KEYS: the epoch. ARGV: what makes a new one unique. Gives the epoch and its age in ms. */
const ENTER = defineScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], string.format('%d:%s', now, ARGV[1]), 'NX')
local epoch = redis.call('GET', KEYS[1])
return { epoch, now - tonumber(string.match(epoch, '^%d+')) }
`);

/**
 * One life of what the server holds, named by a key in it: a server that has lost everything has lost that too, and the first
 * control plane to notice begins the next epoch. Each writes all that it knows anew then; and when its connection is back,
 * since a server that was started again may have lost the last of what it was told.
 */
export class Epoch implements StoreContents {
  readonly #options: EpochOptions;
  readonly #before: (() => Promise<void>)[] = [];
  /** Counts when the connection came back. */
  #returns = 0;
  /** The epoch that all that is known was written in. */
  #written: string | undefined;
  #isOpen = false;
  #wake: () => void = () => undefined;

  constructor(options: EpochOptions) {
    this.#options = options;
  }

  /** The key that holds it. */
  get key(): string {
    return this.#options.redis.key('epoch');
  }

  /** The epoch that places are given out in; '', which no epoch is named, before all is written. */
  get open(): string {
    return this.#isOpen ? (this.#written ?? '') : '';
  }

  /** @throws IsletError 503 if what is not there may only not be written yet */
  assertWritten(): void {
    if (this.#written === undefined) throw notWritten();
  }

  /** @throws IsletError 503 as `assertWritten`, also if all was lost a moment ago */
  async assertLasting(): Promise<void> {
    const epoch = await this.#options.redis.ask((commands) => commands.get(this.key));
    if (epoch === this.#written) return;
    this.look();
    throw notWritten();
  }

  /** Has something written anew before all else. */
  first(rewrite: () => Promise<void>): void {
    this.#before.push(rewrite);
  }

  /** The connection is there again. */
  back(): void {
    this.#returns++;
    this.#written = undefined;
    this.#isOpen = false;
    this.#wake();
  }

  /** Looks now: somebody has found another epoch than was open. */
  look(): void {
    this.#wake();
  }

  keep(rewrite: () => Promise<void>): KeptContents {
    const stop = new AbortController();
    let opened: () => void = () => undefined;
    const first = new Promise<void>((resolve) => {
      opened = resolve;
    });
    const loop = this.#follow(rewrite, opened, stop.signal);
    return {
      first,
      async [Symbol.asyncDispose]() {
        stop.abort();
        await loop;
      },
    };
  }

  async #follow(rewrite: () => Promise<void>, onOpen: () => void, signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      let pauseMs = LOOK_MS;
      try {
        const graceLeftMs = await this.#enter(rewrite);
        if (this.open !== '') onOpen();
        else pauseMs = Math.min(pauseMs, graceLeftMs);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (failures++ === 0) {
          this.#options.logger.warn({ err: error }, 'not all that is known is in Redis, trying again');
        }
        pauseMs = AGAIN_MS;
      }
      await this.#pause(pauseMs, signal);
    }
  }

  /** @returns how long no place is given out, ms */
  async #enter(rewrite: () => Promise<void>): Promise<number> {
    const { redis, graceMs } = this.#options;
    const returns = this.#returns;
    const [epoch, ageMs] = (await redis.run(ENTER, [this.key], [crypto.randomUUID()])) as [string, number];
    if (epoch !== this.#written) {
      this.#written = undefined;
      this.#isOpen = false;
      for (const each of this.#before) await each();
      await rewrite();
      // What was lost meanwhile is written with the next look, which `back` has called for.
      if (returns !== this.#returns) return 0;
      this.#written = epoch;
    }
    const leftMs = Math.max(graceMs - ageMs, 0);
    this.#isOpen = leftMs === 0;
    return leftMs;
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await pauseFor(ms, AbortSignal.any([signal, woken.signal]));
    this.#wake = () => undefined;
  }
}

function notWritten() {
  return liveStoreUnavailable(new Error('what nodes tell is being written into Redis anew'));
}
