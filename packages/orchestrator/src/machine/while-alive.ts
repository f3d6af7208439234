import type { Machine, SandboxDriver } from '@islet/driver';

/** How often it is looked whether a machine still runs that something is waited for, ms. */
const LOOK_MS = 100;

/** A machine ended before it did what was waited for. */
export class MachineEndedError extends Error {
  override readonly name = 'MachineEndedError';
}

/**
 * Waits for something that a machine does, and no longer than it runs.
 * @param wait ends when its signal aborts
 * @throws MachineEndedError
 */
export async function whileAlive<T>(
  driver: Pick<SandboxDriver, 'isAlive'>,
  machine: Machine,
  signal: AbortSignal | undefined,
  wait: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = setInterval(() => {
    if (driver.isAlive(machine)) return;
    stop.abort(new MachineEndedError(`machine ${machine.id} ended before its daemon answered`));
  }, LOOK_MS);
  try {
    return await wait(stop.signal);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
