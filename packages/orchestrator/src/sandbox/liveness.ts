import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@islet/telemetry';
import type { Machine, SandboxDriver } from '../drivers/driver.ts';

/** How often the node looks whether its sandboxes still run, ms. */
const INTERVAL_MS = 500;

export interface LivenessOptions {
  driver: SandboxDriver;
  logger: Logger;
  machines: () => readonly Machine[];
  /** The machine ended by itself, or is stuck without memory. */
  onDead: (sandboxId: string, machine: Machine) => Promise<void>;
}

/** Looks at every running sandbox, one after the other, again and again until it is closed. */
export function watchLiveness(options: LivenessOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      await sleep(INTERVAL_MS, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
      for (const machine of stop.signal.aborted ? [] : options.machines()) await look(options, machine);
    }
  })();
  return {
    async close() {
      stop.abort();
      await watching;
    },
  };
}

async function look({ driver, logger, onDead }: LivenessOptions, machine: Machine): Promise<void> {
  const sandboxId = machine.id;
  try {
    const outOfMemory = await driver.wasOutOfMemory(sandboxId);
    if (!outOfMemory && driver.isAlive(machine)) return;
    const why = outOfMemory ? 'it used more memory than its limit' : 'its init process is gone';
    logger.warn({ sandboxId, outOfMemory }, `a sandbox ended by itself: ${why}`);
    await onDead(sandboxId, machine);
  } catch (error) {
    logger.error({ err: error, sandboxId }, 'a dead sandbox could not be freed');
  }
}
