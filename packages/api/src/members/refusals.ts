import type { Logger } from '@islet/telemetry';
import type { DiscoveredNode, NodeDiscovery } from '../nodes/discovery.ts';
import type { Members } from './members.ts';

export interface RefusalsOptions {
  members: Pick<Members, 'removed'>;
  discovery: NodeDiscovery;
  logger: Logger;
  /** From one time that nodes are told to the next, ms. */
  tellMs?: number;
}

/**
 * Together with the look at the members and the time of a call, nodes refuse a removed member within 5 s; one that was started again
 * has to be told anew.
 */
const TELL_MS = 2_000;
const CALL_MS = 2_000;

/**
 * Tells nodes of removed members whose certificates are good still, again and again until those end: nodes believe the authority alone,
 * and nothing is asked while nobody was removed.
 */
export function refuseAtNodes({
  members,
  discovery,
  logger,
  tellMs = TELL_MS,
}: RefusalsOptions): AsyncDisposable {
  let nodes: readonly DiscoveredNode[] = [];
  const unwatch = discovery.watch((all) => {
    nodes = all;
  });
  const telling = new Map<string, Promise<void>>();
  const tell = async ({ id, link: { neighbours } }: DiscoveredNode, memberIds: readonly string[]) => {
    try {
      await neighbours?.refuseMembers({ memberIds: [...memberIds] }, { timeoutMs: CALL_MS });
    } catch (error) {
      logger.debug({ err: error, nodeId: id }, 'a node was not told who was removed');
    }
  };
  const timer = setInterval(() => {
    const { removed } = members;
    if (removed.length === 0) return;
    for (const node of nodes) {
      if (telling.has(node.id)) continue;
      telling.set(
        node.id,
        tell(node, removed).finally(() => telling.delete(node.id)),
      );
    }
  }, tellMs).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      unwatch();
      await Promise.all(telling.values());
    },
  };
}
