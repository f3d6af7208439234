import { setTimeout as sleep } from 'node:timers/promises';
import type { Route, RouteView } from '@islet/catalog';

/** The route to a sandbox as whoever writes it has it now. */
export type LookUp = (sandboxId: string) => Promise<Route | undefined>;

/** Sandboxes that may be asked about within `ASKED_MS`: strangers may ask for any number that do not exist. */
const MOST = 32;
/** How long a question counts, ms; others for its sandbox share its answer. */
const ASKED_MS = 100;
/** How long a request waits for the routes to tell of its sandbox if too many were asked about, ms. */
const WAIT_MS = 500;

/**
 * Looks up what the watch of the routes has not told yet: whoever has just made a sandbox may be here before the news. It
 * asks no more than some hundred times a second.
 */
export function boundLookUps(routes: Pick<RouteView, 'until'>, lookUp: LookUp): LookUp {
  const asked = new Map<string, Promise<Route | undefined>>();
  return (sandboxId) => {
    const known = asked.get(sandboxId);
    if (known) return known;
    if (asked.size >= MOST) return untilTold(routes, sandboxId);
    const asking = lookUp(sandboxId);
    asked.set(sandboxId, asking);
    void sleep(ASKED_MS, undefined, { ref: false }).then(() => asked.delete(sandboxId));
    return asking;
  };
}

async function untilTold(routes: Pick<RouteView, 'until'>, sandboxId: string): Promise<Route | undefined> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), WAIT_MS);
  try {
    return await routes.until(sandboxId, (route) => route !== undefined, limit.signal);
  } catch (error) {
    if (limit.signal.aborted) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
