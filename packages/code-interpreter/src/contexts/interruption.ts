import type { LanguageHost } from '../hosts/host.ts';

/** Code may catch an interrupt, or not hear it within a call to C. */
const AGAIN_MS = 1000;
/** So that the client that comes next is answered within ten seconds of the one that went. */
const MOST_TIMES = 5;

/**
 * Interrupts the host's cell when the client is gone: again every second, and gives up after five. Seconds in which the sandbox stood
 * still do not count: its clock goes on while it is saved, and code that has run for a moment only would lose its process.
 * @returns to be called when the cell is over
 */
export function interruptUntilOver(
  host: LanguageHost,
  gone: AbortSignal,
  giveUp: () => Promise<void>,
): () => void {
  let next: NodeJS.Timeout | undefined;
  let times = 0;
  const interrupt = () => {
    if (times++ === MOST_TIMES) return void giveUp();
    void host.interrupt();
    // One after the other: a timer whose time passed in a standstill is due once, however long that was.
    next = setTimeout(interrupt, AGAIN_MS);
  };
  if (gone.aborted) interrupt();
  else gone.addEventListener('abort', interrupt, { once: true });
  return () => {
    gone.removeEventListener('abort', interrupt);
    clearTimeout(next);
  };
}
