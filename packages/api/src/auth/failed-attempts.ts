import { retryMs, spend } from '@islet/catalog';
import { clientOf, type Rate } from '@islet/contracts';

/** Beyond what any program tries by mistake, and far below what guessing needs. */
const RATE: Rate = { requests: 10, periodMs: 1_000, burst: 100 };
/** Addresses that are remembered; those that tried longest ago are forgotten first. */
const MOST_ADDRESSES = 10_000;

/**
 * Bounds how often an address may show credentials that are no one's: each costs a look into the database, and the operator's token
 * may be a word. Credentials that this API knows already are not counted, so a stranger behind the same address locks nobody out
 * who works. Of this API alone: what strangers send makes no traffic between machines. Programs of this machine are not counted, nor
 * a reverse proxy on it, which stands for everybody.
 */
export class FailedAttempts {
  readonly #monotonic: () => number;
  /** When all attempts of a client are there again; who has tried last is last. */
  readonly #full = new Map<string, number>();

  /** @param monotonic milliseconds that never run backwards */
  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /**
   * Begins an attempt, which counts as failed until it succeeds.
   * @param address of the connection
   * @returns milliseconds to wait if it may not be made; else what is to be called when it succeeds
   */
  begin(address: string): number | (() => void) {
    const client = clientOf(address);
    if (client === undefined) return () => undefined;
    const now = this.#monotonic();
    const bucket = { fullAt: this.#full.get(client) ?? now, now, rate: RATE };
    const wait = retryMs(bucket);
    if (wait > 0) return wait;
    this.#set(client, spend(bucket));
    return () => {
      const fullAt = this.#full.get(client);
      if (fullAt !== undefined) this.#full.set(client, fullAt - RATE.periodMs / RATE.requests);
    };
  }

  #set(client: string, fullAt: number): void {
    this.#full.delete(client);
    this.#full.set(client, fullAt);
    for (const oldest of this.#full.keys()) {
      if (this.#full.size <= MOST_ADDRESSES) return;
      this.#full.delete(oldest);
    }
  }
}
