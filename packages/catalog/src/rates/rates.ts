import type { Rate } from '@islet/contracts';

/** A request, as one bucket sees it. */
export interface Ask {
  /** That all requests of one caller have in common. */
  who: string;
  rate: Rate;
}

export interface RateOutcome {
  /** Whether this bucket had room for the request. */
  isAdmitted: boolean;
  /** Requests that would be admitted now, one after the other. */
  remaining: number;
  /** Until all would be again, if no more come, ms. */
  resetMs: number;
  /** Until one would be admitted, ms; 0 if one was, or would be. */
  retryMs: number;
}

/**
 * Counts requests in token buckets. Any number of control planes share them; each call is one step that no other one comes
 * in between. Every adapter passes `ratesContract`.
 */
export interface Rates {
  /** Counts one request in all of these buckets if each has room for it, else in none. Answers for each, in their order. */
  take(asks: readonly Ask[]): Promise<RateOutcome[]>;
}
