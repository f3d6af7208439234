import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits for some ms, and no longer than until a signal aborts; then it returns as well.
 * @param keepsAlive whether the process is to live until then
 */
export async function pauseFor(ms: number, signal: AbortSignal, keepsAlive = false): Promise<void> {
  await sleep(ms, undefined, { signal, ref: keepsAlive }).catch(() => undefined);
}

export interface AtOnceOptions {
  /** Tasks that are under way at a time, at least 1. */
  atOnce: number;
  /** None begins once it aborts, which is no failure. */
  signal?: AbortSignal | undefined;
}

/**
 * Runs a task for each of some items, so many at a time, in order; none begins after a failure.
 * @throws the first failure, when all that had begun have ended
 */
export async function eachAtOnce<T>(
  items: Iterable<T>,
  { atOnce, signal }: AtOnceOptions,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const left = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const work = async () => {
    while (failures.length === 0 && !signal?.aborted) {
      const next = left.next();
      if (next.done) return;
      try {
        await task(next.value);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (failures.length > 0) throw failures[0];
}
