import type { NodeDiscovery, NodeLink } from '@islet/api';
import { pauseFor } from '@islet/contracts';
import type { Database } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { registerShipped } from '../up/shipped-template.ts';

export interface BaseRegistration extends AsyncDisposable {
  /** Resolves when the template `base` is a node's build. */
  done: Promise<void>;
  /** Whether there is a node that may have it. */
  readonly hasNodes: boolean;
}

const ASK_TIMEOUT_MS = 5_000;
/** Between two rounds of asking, ms. */
const PAUSE_MS = 1_000;

/** Asks the nodes that there are, until one has it, for the build that the template `base` is to stand for. */
export function registerBaseOfNodes(
  discovery: NodeDiscovery,
  db: Database,
  logger: Logger,
): BaseRegistration {
  const stop = new AbortController();
  const { signal } = stop;
  let links: readonly NodeLink[] = [];
  const unwatch = discovery.watch((nodes) => {
    links = nodes.map(({ link }) => link);
  });
  const ask = async () => {
    while (!signal.aborted) {
      for (const { shipped } of links) {
        if (!shipped) continue;
        try {
          const {
            $typeName: _,
            $unknown: __,
            ...base
          } = await shipped.getBase({}, { timeoutMs: ASK_TIMEOUT_MS, signal });
          return await registerShipped(db, 'base', base);
        } catch (error) {
          if (!signal.aborted) logger.info({ err: error }, 'a node has no template base yet, asking again');
        }
      }
      await pauseFor(PAUSE_MS, signal);
    }
  };
  const done = ask().finally(unwatch);
  return {
    done,
    get hasNodes() {
      return links.length > 0;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}
