import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { CatalogChange, CatalogEntry, CatalogReader, Followable } from './catalog.ts';

/** What a catalog on another thread held when it was asked. */
export interface CatalogReplica extends CatalogReader {
  /** As `get`, at once. */
  find(sandboxId: string): CatalogEntry | undefined;
  close(): void;
}

/**
 * Sends what `source` holds, and each change of it, to the replica at the other end of `port`. Gives back the way to
 * end it, which closes the port.
 */
export function feedReplica(source: Followable, port: MessagePort): () => void {
  const unfollow = source.follow((change) => port.postMessage(forRouting(change)));
  return () => {
    unfollow();
    port.close();
  };
}

/**
 * The other end of `feedReplica`. What was put before a question was asked is in its answer, whatever both threads
 * do: a change is in the port's queue when the call that makes it returns, and each question empties the queue first.
 * So whoever heard of a sandbox through the source finds it here, and nobody waits for an acknowledgement.
 */
export function openReplica(port: MessagePort): CatalogReplica {
  const entries = new Map<string, CatalogEntry>();
  const apply = (change: CatalogChange) => {
    if (change.kind === 'remove') entries.delete(change.sandboxId);
    else entries.set(change.entry.sandbox.config?.sandboxId ?? '', change.entry);
  };
  const catchUp = () => {
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) apply(next.message);
  };
  // The queue does not grow while nobody asks.
  port.on('message', apply);
  const find = (sandboxId: string) => {
    catchUp();
    return entries.get(sandboxId);
  };
  return {
    find,
    get: async (sandboxId) => find(sandboxId),
    async listAll() {
      catchUp();
      return [...entries.values()];
    },
    close: () => port.close(),
  };
}

function forRouting(change: CatalogChange): CatalogChange {
  return change.kind === 'remove' ? change : { kind: 'put', entry: entryForRouting(change.entry) };
}

/** Without what owners say of their sandboxes: it may be long and secret, and says nothing about the way there. */
export function entryForRouting({ sandbox, route }: CatalogEntry): CatalogEntry {
  const { config } = sandbox;
  if (!config) return { sandbox, route };
  const bare = { ...config, metadata: {}, envVars: {}, volumeMounts: [] };
  return { sandbox: { ...sandbox, config: bare }, route };
}
