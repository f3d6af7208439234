import { randomUUID } from 'node:crypto';
import { DamagedSnapshotError } from '@islet/driver';
import { CHUNKS, chunkKey } from './chunks.ts';
import { RECORDS, STATES, TREES } from './documents.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';
import { SharedStates } from './shared-states.ts';

/** What is being written has no owner yet; a chunk that is found is used again until it is six hours old, and takes hours to send. */
export const LEAST_GRACE_MS = 12 * 3_600_000;

/** What is put to see whether the store works: left over if whoever put it was killed. */
const PROBES = 'probes/';

export interface Collected {
  /** Objects in the store, and what they take. */
  objects: number;
  bytes: number;
  /** Of those: what belonged to nobody, and is gone. */
  removedObjects: number;
  removedBytes: number;
}

export interface CollectOptions {
  /** What is younger is left, ms; at least LEAST_GRACE_MS. */
  graceMs: number;
  /** Only says what would be removed. */
  dryRun?: boolean;
  signal?: AbortSignal;
}

/**
 * Removes from a store what belongs to nobody: states and trees that no record needs, and chunks that neither of these has. Nodes may
 * go on sending and fetching meanwhile, and several may collect at once.
 * @throws DamagedSnapshotError if something that refers to others cannot be read: nothing is removed then
 */
export async function collectGarbage(store: ObjectStore, options: CollectOptions): Promise<Collected> {
  const { graceMs, dryRun = false, signal } = options;
  if (graceMs < LEAST_GRACE_MS) throw new RangeError(`what is younger than ${LEAST_GRACE_MS} ms has to stay`);
  const shared = new SharedStates(store);
  const before = (await storeTime(store, signal)) - graceMs;
  // In this order: what a node writes meanwhile it writes from the other end, and it is young.
  const candidates = await list(store, [CHUNKS, TREES, STATES, PROBES], signal);
  const records = await list(store, [RECORDS], signal);
  const needed = new Set<string>();
  for (const { key } of records) {
    const record = await shared.getRecord(key.slice(RECORDS.length), signal);
    // Gone since it was listed.
    if (!record) continue;
    needed.add(STATES + record.state);
    for (const tree of record.trees) needed.add(TREES + tree);
  }
  // Also those of states and trees that are too young to have a record.
  for (const { key, modifiedAtMs } of await list(store, [TREES, STATES], signal)) {
    if (!needed.has(key) && modifiedAtMs < before) continue;
    needed.add(key);
    for (const chunk of await shared.chunksOf(key, signal)) needed.add(chunkKey(chunk));
  }
  const garbage = candidates.filter(({ key, modifiedAtMs }) => modifiedAtMs < before && !needed.has(key));
  // What refers to others goes first: nobody finds a state of which a part is gone.
  garbage.sort((a, b) => Number(a.key.startsWith(CHUNKS)) - Number(b.key.startsWith(CHUNKS)));
  if (!dryRun) for (const each of garbage) await removeIfStill(store, each, signal);
  const all = [...candidates, ...records];
  return {
    ...{ objects: all.length, bytes: bytesOf(all) },
    ...{ removedObjects: garbage.length, removedBytes: bytesOf(garbage) },
  };
}

/** Now, by the clock that the store's own times are of, Unix ms. */
async function storeTime(store: ObjectStore, signal: AbortSignal | undefined): Promise<number> {
  const key = PROBES + randomUUID();
  await store.put(key, Buffer.alloc(0), signal);
  const found = await store.look(key, signal);
  await store.delete([key], signal);
  if (!found) throw new DamagedSnapshotError(`the store ${store.name} does not have what it was just given`);
  return found.modifiedAtMs;
}

/** Unless somebody has found it of use since it was listed, and written it anew. */
async function removeIfStill(
  store: ObjectStore,
  { key, modifiedAtMs }: ListedObject,
  signal: AbortSignal | undefined,
): Promise<void> {
  if ((await store.look(key, signal))?.modifiedAtMs === modifiedAtMs) await store.delete([key], signal);
}

async function list(store: ObjectStore, prefixes: readonly string[], signal: AbortSignal | undefined) {
  const found = [];
  for (const prefix of prefixes) for await (const each of store.list(prefix, signal)) found.push(each);
  return found;
}

function bytesOf(objects: readonly { bytes: number }[]): number {
  return objects.reduce((sum, { bytes }) => sum + bytes, 0);
}
