import { setTimeout as sleep } from 'node:timers/promises';
import { orchestratorProto } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Machine, SandboxDriver } from '../drivers/driver.ts';

const { KillReason } = orchestratorProto;

/** How often the node looks whether its sandboxes still run, ms. */
const INTERVAL_MS = 500;

/** A sandbox and what runs of it. */
export interface RunningSandbox {
  sandboxId: string;
  machine: Machine;
}

export interface LivenessOptions {
  driver: SandboxDriver;
  logger: Logger;
  running: () => readonly RunningSandbox[];
  /**
   * The machine ended by itself, or is stuck without memory. False where it is the sandbox's no more, which was paused or killed
   * meanwhile.
   */
  onDead: (sandboxId: string, machine: Machine, reason: orchestratorProto.KillReason) => Promise<boolean>;
}

/** Looks at every running sandbox, one after the other, again and again until it is closed. */
export function watchLiveness(options: LivenessOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      await sleep(INTERVAL_MS, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
      for (const sandbox of stop.signal.aborted ? [] : options.running()) await look(options, sandbox);
    }
  })();
  return {
    async close() {
      stop.abort();
      await watching;
    },
  };
}

async function look(
  { driver, logger, onDead }: LivenessOptions,
  { sandboxId, machine }: RunningSandbox,
): Promise<void> {
  try {
    const outOfMemory = await driver.wasOutOfMemory(machine.id);
    if (!outOfMemory && driver.isAlive(machine)) return;
    const reason = outOfMemory ? KillReason.OUT_OF_MEMORY : KillReason.EXITED;
    if (!(await onDead(sandboxId, machine, reason))) return;
    const why = outOfMemory ? 'it used more memory than its limit' : 'its init process is gone';
    logger.warn({ sandboxId, outOfMemory }, `a sandbox ended by itself: ${why}`);
  } catch (error) {
    logger.error({ err: error, sandboxId }, 'a dead sandbox could not be freed');
  }
}
