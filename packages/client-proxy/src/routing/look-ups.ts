import { type Route, type RouteView, servesTraffic } from '@islet/catalog';

/** The route to a sandbox as whoever writes it has it now. */
export type LookUp = (sandboxId: string) => Promise<Route | undefined>;

/** Sandboxes that may be asked about within `ASKED_MS`: strangers may ask for any number that do not exist. */
const MOST = 32;
/** From one question about a sandbox to the next, ms. */
const ASKED_MS = 100;
/** How long a request waits for the routes to tell of its sandbox if too many were asked about, ms. */
const WAIT_MS = 500;

/**
 * Looks up what the watch of the routes has not told yet: whoever has just made or resumed a sandbox may be here before the
 * news. An answer is never older than the question, so nobody is told of a state that had ended when they asked. It asks no
 * more than some hundred times a second; who may not ask waits for the watch to tell of a sandbox that serves.
 */
export function boundLookUps(routes: Pick<RouteView, 'find' | 'until'>, lookUp: LookUp): LookUp {
  /** What waits for the next question about each sandbox that was asked about lately. */
  const asked = new Map<string, Promise<Route | undefined> | undefined>();
  const ask = (sandboxId: string): Promise<Route | undefined> => {
    asked.set(sandboxId, undefined);
    setTimeout(() => {
      if (!asked.get(sandboxId)) asked.delete(sandboxId);
    }, ASKED_MS).unref();
    return lookUp(sandboxId);
  };
  const askNext = async (sandboxId: string) => {
    const told = await untilServed(routes, sandboxId, ASKED_MS);
    if (!told) return ask(sandboxId);
    asked.delete(sandboxId);
    return told;
  };
  return async (sandboxId) => {
    if (asked.has(sandboxId)) {
      const next = asked.get(sandboxId) ?? askNext(sandboxId);
      asked.set(sandboxId, next);
      return next;
    }
    if (asked.size < MOST) return ask(sandboxId);
    return (await untilServed(routes, sandboxId, WAIT_MS)) ?? routes.find(sandboxId);
  };
}

/** Undefined if the routes have not told of it within `limitMs`. */
async function untilServed(
  routes: Pick<RouteView, 'until'>,
  sandboxId: string,
  limitMs: number,
): Promise<Route | undefined> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), limitMs);
  try {
    return await routes.until(
      sandboxId,
      (route) => route !== undefined && servesTraffic(route),
      limit.signal,
    );
  } catch (error) {
    if (limit.signal.aborted) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
