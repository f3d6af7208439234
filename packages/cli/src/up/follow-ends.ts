import type { Logger } from '@islet/telemetry';
import type { NodeClient } from './node.ts';

/**
 * Tells when a sandbox's run ended, so that the proxies reset its connections at once; they find out by themselves only
 * within seconds.
 */
export function followEnds(
  client: NodeClient,
  logger: Logger,
  onEnd: (executionId: string) => void,
): AsyncDisposable {
  const stop = new AbortController();
  const following = (async () => {
    try {
      for await (const { event } of client.watchSandboxes({}, { signal: stop.signal })) {
        if (event.case === 'ended' && event.value.sandbox) onEnd(event.value.sandbox.executionId);
      }
    } catch (error) {
      if (!stop.signal.aborted) logger.error({ err: error }, 'the watch of ending sandboxes broke off');
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
    },
  };
}
