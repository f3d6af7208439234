import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 50;

/**
 * Asks again and again until the answer passes, and gives that answer.
 * @throws Error with the last answer when the deadline has passed.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  ask: () => Promise<T> | T,
  passes: (answer: T) => boolean,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (passes(answer)) return answer;
    if (Date.now() > deadline) {
      throw new Error(`not in ${deadlineMs} ms: ${what}; at last: ${JSON.stringify(answer)}`);
    }
    await sleep(INTERVAL_MS);
  }
}
