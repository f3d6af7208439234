import { orchestratorProto } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { NodeClient } from './node.ts';

const { SandboxState } = orchestratorProto;

/** How long requests under way have to end before a sandbox is saved, ms; what takes longer is cut off. */
const GRACE_MS = 300;

/** Requests that were sent on their way just before the sandbox was to be saved may still open connections: ms to the next look. */
const AGAIN_MS = 500;

/** Holds connections of sandboxes' runs. */
export interface RunConnections {
  /** The run may go on: its connections end within `graceMs`, new ones are welcome. */
  drainRun(executionId: string, graceMs: number): void;
  /** The run is over. */
  closeRun(executionId: string): void;
}

/**
 * Tells the proxies when a run is about to be saved (an open connection would keep it from that) and when it is over.
 * They find out by themselves only within seconds.
 */
export function followRuns(client: NodeClient, logger: Logger, connections: RunConnections): AsyncDisposable {
  const stop = new AbortController();
  const saving = new Map<string, NodeJS.Timeout>();
  const settle = (executionId: string) => {
    clearInterval(saving.get(executionId));
    saving.delete(executionId);
  };
  const close = (executionId: string) => {
    settle(executionId);
    connections.closeRun(executionId);
  };
  const drain = (executionId: string) => connections.drainRun(executionId, GRACE_MS);
  const take = (event: orchestratorProto.WatchSandboxesResponse['event']) => {
    if (event.case === 'ended' && event.value.sandbox) close(event.value.sandbox.executionId);
    if (event.case !== 'changed') return;
    const { executionId, state } = event.value;
    settle(executionId);
    if (state === SandboxState.PAUSED) close(executionId);
    if (state === SandboxState.PAUSING || state === SandboxState.SNAPSHOTTING) {
      drain(executionId);
      saving.set(executionId, setInterval(drain, AGAIN_MS, executionId).unref());
    }
  };
  const following = (async () => {
    try {
      for await (const { event } of client.watchSandboxes({}, { signal: stop.signal })) take(event);
    } catch (error) {
      if (!stop.signal.aborted) logger.error({ err: error }, 'the watch of sandboxes’ runs broke off');
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
      for (const executionId of [...saving.keys()]) settle(executionId);
    },
  };
}
