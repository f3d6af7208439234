import { randomUUID } from 'node:crypto';
import { S3ServiceException } from '@aws-sdk/client-s3';
import { Deadline } from '@islet/contracts';
import { type ObjectStore, StoreUnavailableError } from '@islet/snapshots';
import { createS3Client } from './client.ts';
import { messageOf } from './failures.ts';
import { removeAbandoned } from './parts.ts';
import type { S3Place } from './place.ts';
import { S3Objects } from './s3-objects.ts';

/** Longest look at a bucket before it is used, ms. */
const CHECK_MS = 30_000;

/** What an earlier process left unfinished for so long is nobody's, ms. */
const ABANDONED_MS = 86_400_000;

/** Servers that do not know something. */
const UNKNOWN = new Set([405, 501]);

/** A bucket as a store that has been opened before, without a look whether it is there now. */
export function createS3Objects(place: S3Place): ObjectStore & Disposable {
  return storeOf(place, createS3Client(place));
}

function storeOf(place: S3Place, client: ReturnType<typeof createS3Client>): ObjectStore & Disposable {
  return Object.assign(new S3Objects(place, client), { [Symbol.dispose]: () => client.destroy() });
}

/**
 * Opens a bucket as a store, after a look whether all works that Islet needs: an object is put, found, read and deleted.
 * @throws StoreUnavailableError with what to do
 */
export async function openS3Objects(place: S3Place, signal?: AbortSignal): Promise<ObjectStore & Disposable> {
  const client = createS3Client(place);
  using time = new Deadline(CHECK_MS, signal);
  const store = storeOf(place, client);
  try {
    await check(store, time.signal);
    const root = place.prefix === '' ? '' : `${place.prefix}/`;
    const unfinished = { Bucket: place.bucket, Prefix: root };
    const before = Date.now() - ABANDONED_MS;
    await removeAbandoned(client, unfinished, { before }, time.signal).catch((error: unknown) => {
      if (error instanceof S3ServiceException && UNKNOWN.has(error.$metadata.httpStatusCode ?? 0)) return;
      throw new StoreUnavailableError(messageOf(error, place), { cause: error });
    });
    return store;
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

async function check(store: ObjectStore, signal: AbortSignal): Promise<void> {
  const key = `probes/${randomUUID()}`;
  const content = Buffer.from(key);
  await store.put(key, content, signal);
  const seen = [];
  for await (const found of store.list('probes/', signal)) seen.push(found.key);
  const read = await store.get(key, content.length, signal);
  await store.delete([key], signal);
  if (seen.includes(key) && read?.equals(content) && !(await store.look(key, signal))) return;
  throw new StoreUnavailableError(`the store ${store.name} does not work: it has not what it was just given`);
}
