/** What somebody may ask for: so many requests at once, and so many in each period. */
export interface Rate {
  requests: number;
  periodMs: number;
}

export interface RateOutcome {
  isAdmitted: boolean;
  /** Requests that would be admitted now, one after the other. */
  remaining: number;
  /** Until all would be again, if no more come, ms. */
  resetMs: number;
  /** Until one would be admitted, ms; 0 if one was, or would be. */
  retryMs: number;
}

/**
 * Counts requests against a rate. Any number of control planes share it; each call is one step that no other one comes in between.
 * What is used up comes back evenly: one request each `periodMs / requests`. Every adapter passes `ratesContract`.
 */
export interface Rates {
  /** Counts a request, if it is admitted. @param who that all of one caller's requests have in common */
  take(who: string, rate: Rate): Promise<RateOutcome>;
}
