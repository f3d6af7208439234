import { orchestratorProto } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { NodeClient } from './node.ts';

const { SandboxState } = orchestratorProto;

/** Holds connections of sandboxes' runs. */
export interface RunConnections {
  /** The run may go on: its connections are cut, new ones are welcome. */
  resetRun(executionId: string): void;
  /** The run is over. */
  closeRun(executionId: string): void;
}

/**
 * Tells the proxies when a run is about to be saved (an open connection would keep it from that) and when it is over.
 * They find out by themselves only within seconds.
 */
export function followRuns(
  client: NodeClient,
  logger: Logger,
  holders: readonly RunConnections[],
): AsyncDisposable {
  const stop = new AbortController();
  const take = (event: orchestratorProto.WatchSandboxesResponse['event']) => {
    if (event.case === 'ended' && event.value.sandbox) {
      for (const holder of holders) holder.closeRun(event.value.sandbox.executionId);
    }
    if (event.case !== 'changed') return;
    const { executionId, state } = event.value;
    if (state === SandboxState.PAUSING || state === SandboxState.SNAPSHOTTING) {
      for (const holder of holders) holder.resetRun(executionId);
    }
    if (state === SandboxState.PAUSED) for (const holder of holders) holder.closeRun(executionId);
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
    },
  };
}
