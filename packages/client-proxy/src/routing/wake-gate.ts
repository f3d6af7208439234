import { setTimeout as sleep } from 'node:timers/promises';
import { type Route, refusalToWake, type Wake, type WakeCredentials, type WakeOutcome } from '@islet/catalog';

/** Wakes the sandbox of a route that does not serve, if these credentials may. */
export type WakeGate = (route: Route, credentials: WakeCredentials) => Promise<WakeOutcome>;

/** Between two askings for one sandbox after a refusal, ms: its traffic may come thousands of times a second. */
const PAUSE_MS = 250;

/**
 * Spares the control plane what the edge can say itself: asks it only for a sandbox that may be woken with these
 * credentials, once however many requests wait, and after a refusal not at once again.
 */
export function gateWakes(wake: Wake): WakeGate {
  const underWay = new Map<string, Promise<WakeOutcome>>();
  const pausing = new Map<string, Promise<void>>();
  const ask = async (...[sandboxId, credentials]: Parameters<Wake>): Promise<WakeOutcome> => {
    await pausing.get(sandboxId);
    const outcome = await wake(sandboxId, credentials);
    if (outcome.kind !== 'resumed') {
      const pause = sleep(PAUSE_MS, undefined, { ref: false }).then(() => void pausing.delete(sandboxId));
      pausing.set(sandboxId, pause);
    }
    return outcome;
  };
  return async (route, credentials) => {
    const { sandboxId } = route;
    const refusal = refusalToWake(route, credentials);
    if (refusal) return refusal;
    const running = underWay.get(sandboxId);
    if (running) return running;
    const asked = ask(sandboxId, credentials).finally(() => underWay.delete(sandboxId));
    underWay.set(sandboxId, asked);
    return asked;
  };
}
