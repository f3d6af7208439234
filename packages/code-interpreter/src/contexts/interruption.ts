import type { LanguageHost } from '../hosts/host.ts';

/** Code may catch an interrupt, or not hear it within a call to C. */
const AGAIN_MS = 1000;
/** So that the client that comes next is answered within ten seconds of the one that went. */
const GIVE_UP_MS = 5000;

/**
 * Interrupts the host's cell when the client is gone: again every second, and gives up after five.
 * @returns to be called when the cell is over
 */
export function interruptUntilOver(
  host: LanguageHost,
  gone: AbortSignal,
  giveUp: () => Promise<void>,
): () => void {
  let again: NodeJS.Timeout | undefined;
  let last: NodeJS.Timeout | undefined;
  const begin = () => {
    void host.interrupt();
    again = setInterval(() => void host.interrupt(), AGAIN_MS);
    last = setTimeout(() => void giveUp(), GIVE_UP_MS);
  };
  if (gone.aborted) begin();
  else gone.addEventListener('abort', begin, { once: true });
  return () => {
    gone.removeEventListener('abort', begin);
    clearInterval(again);
    clearTimeout(last);
  };
}
