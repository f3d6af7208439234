/** How often a row measures at most. It ends after the first round that ends past its time. */
export interface Pace {
  rounds: number;
  budgetMs: number;
}

export interface RoundsOptions {
  signal: AbortSignal;
  /** Called before each round. */
  progress: (done: number, total: number) => void;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** Runs at least one round, then more until their number or their time is used up. */
export async function inRounds(
  pace: Pace,
  { signal, progress, now }: RoundsOptions,
  round: (index: number) => Promise<void>,
): Promise<void> {
  const endAt = now() + pace.budgetMs;
  for (let index = 0; index < pace.rounds && (index === 0 || now() < endAt); index++) {
    signal.throwIfAborted();
    progress(index, pace.rounds);
    await round(index);
  }
}

/**
 * Measures two things by turns, A B A B, so that what else the machine does hits both alike. Each is run once before, and
 * that is not counted.
 */
export async function inTurns<T>(
  pace: Pace,
  options: RoundsOptions,
  measures: readonly [() => Promise<T>, () => Promise<T>],
): Promise<[T[], T[]]> {
  const results: [T[], T[]] = [[], []];
  for (const measure of measures) await measure();
  await inRounds(pace, options, async () => {
    for (const which of [0, 1] as const) {
      options.signal.throwIfAborted();
      results[which].push(await measures[which]());
    }
  });
  return results;
}
