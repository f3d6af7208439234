import { endEventId, executionOf, type Sandbox, type SandboxLifeEvent } from '@islet/contracts';
import type { EventStore } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';

/** What is told of a sandbox that was lost with its node: nobody knows how it ended. */
const REASON = 'unknown';

/**
 * Tells the owners of sandboxes that these were lost with their node. Every control plane says the same of one, under the same id, and
 * so does the node should it ever tell of the end itself: so each is told once.
 */
export class LossNotes {
  readonly #store: Pick<EventStore, 'write'> | undefined;
  readonly #logger: Logger;

  constructor(store: Pick<EventStore, 'write'> | undefined, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** @param sinceMs when they were lost, Unix ms */
  note(lost: readonly Sandbox[], sinceMs: number): void {
    if (lost.length === 0) return;
    this.#store
      ?.write(lost.map((sandbox) => eventOf(sandbox, sinceMs)))
      .catch((error: unknown) =>
        this.#logger.error({ err: error }, 'nobody is told that sandboxes were lost'),
      );
  }
}

function eventOf(sandbox: Sandbox, timeMs: number): SandboxLifeEvent {
  const { config, executionId } = sandbox;
  const { sandboxId, teamId, templateId, buildId, metadata, eventsTtlDays } = config;
  return {
    ...{
      id: endEventId(executionId),
      type: 'killed',
      timeMs,
      sandboxId,
      teamId,
      executionId,
      templateId,
      buildId,
    },
    metadata: { ...metadata },
    ...(eventsTtlDays !== undefined && { ttlDays: eventsTtlDays }),
    killReason: REASON,
    execution: executionOf(sandbox, timeMs),
  };
}
