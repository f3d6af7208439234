import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 50;
/** No wait is given up before: it says nothing of Islet how long a machine takes that has ten other things to do. */
const PATIENCE_MS = 60_000;

/**
 * Asks again and again until the answer passes, and gives that answer. The question itself may fail until what it asks
 * about is there.
 * @param deadlineMs How long that may take if it takes long on an idle machine, too; a minute is waited at least.
 * @throws Error with the last answer, or caused by the last failure, when the deadline has passed.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  ask: () => Promise<T> | T,
  passes: (answer: T) => boolean,
): Promise<T> {
  const patience = Math.max(deadlineMs, PATIENCE_MS);
  const deadline = Date.now() + patience;
  for (;;) {
    const [answer, failure] = await attempt(ask);
    if (!failure && passes(answer as T)) return answer as T;
    if (Date.now() > deadline) {
      const last = failure ? String(failure.cause) : JSON.stringify(answer);
      throw new Error(`not in ${patience} ms: ${what}; at last: ${last}`, failure);
    }
    await sleep(INTERVAL_MS);
  }
}

async function attempt<T>(ask: () => Promise<T> | T): Promise<[T] | [undefined, { cause: unknown }]> {
  try {
    return [await ask()];
  } catch (cause) {
    return [undefined, { cause }];
  }
}
