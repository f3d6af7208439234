import { orchestratorProto, pauseFor } from '@islet/contracts';
import type { Machine, SandboxDriver } from '@islet/driver';
import type { Logger } from '@islet/telemetry';

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
   * The machine ended by itself, or is stuck without memory. False if it is the sandbox's no more, which was paused or killed
   * meanwhile.
   */
  onDead: (sandboxId: string, machine: Machine, reason: orchestratorProto.KillReason) => Promise<boolean>;
}

/** Looks at every running sandbox, one after the other, again and again until it is closed. None waits for another one's end. */
export function watchLiveness(options: LivenessOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const freeing = new Map<string, Promise<void>>();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      await pauseFor(INTERVAL_MS, stop.signal);
      for (const sandbox of stop.signal.aborted ? [] : options.running()) {
        const { sandboxId } = sandbox;
        const reason = freeing.has(sandboxId) ? undefined : await endOf(options, sandbox);
        if (reason === undefined) continue;
        const done = free(options, sandbox, reason).finally(() => freeing.delete(sandboxId));
        freeing.set(sandboxId, done);
      }
    }
  })();
  return {
    async close() {
      stop.abort();
      await watching;
      await Promise.all(freeing.values());
    },
  };
}

/** Why a sandbox is over; undefined if it is not. */
async function endOf(
  { driver, logger }: LivenessOptions,
  { sandboxId, machine }: RunningSandbox,
): Promise<orchestratorProto.KillReason | undefined> {
  try {
    if (await driver.wasOutOfMemory(machine.id)) return KillReason.OUT_OF_MEMORY;
    return driver.isAlive(machine) ? undefined : KillReason.EXITED;
  } catch (error) {
    logger.error({ err: error, sandboxId }, 'a sandbox could not be looked at');
    return undefined;
  }
}

async function free(
  { logger, onDead }: LivenessOptions,
  { sandboxId, machine }: RunningSandbox,
  reason: orchestratorProto.KillReason,
): Promise<void> {
  try {
    if (!(await onDead(sandboxId, machine, reason))) return;
    const outOfMemory = reason === KillReason.OUT_OF_MEMORY;
    const why = outOfMemory ? 'it used more memory than its limit' : 'its init process is gone';
    logger.warn({ sandboxId, outOfMemory }, `a sandbox ended by itself: ${why}`);
  } catch (error) {
    logger.error({ err: error, sandboxId }, 'a dead sandbox could not be freed');
  }
}
