import { addAbortSignal, type Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Deadline, eachAtOnce } from '@islet/contracts';
import { DamagedSnapshotError } from '@islet/driver';
import {
  assertObjectKey,
  isObjectKey,
  type ListedObject,
  type ObjectStore,
  StoreUnavailableError,
} from '@islet/snapshots';
import { messageOf } from './failures.ts';
import { PART_BYTES, putInParts, type Target } from './parts.ts';
import { nameOf, type S3Place } from './place.ts';

/** Of one call with all its tries, ms: the largest object in so long takes a link of some megabits a second. */
const MOST_MS = 120_000;

/** Of a content that breaks off, or is not what was put. */
const READS = 2;

/** Requests under way for one call. */
const AT_ONCE = 8;

/** After which a bucket is asked for again before an object is said not to be there, ms. */
const BUCKET_SEEN_MS = 10_000;

/** Of one list: chunks of 4 MiB of 40 TB. */
const MOST_LISTED = 10_000_000;

/** In a row: servers may give some of which nothing is left. */
const MOST_EMPTY_PAGES = 100;

/** Beside each object: the SHA-256 of its content. */
const SUM = 'islet-sha256';

/** Objects in a bucket, each under a prefix and its key. */
export class S3Objects implements ObjectStore {
  readonly name: string;
  readonly #place: S3Place;
  readonly #client: S3Client;
  readonly #mostListed: number;
  #bucketSeenAt = Number.NEGATIVE_INFINITY;

  /** @param mostListed a list with more objects counts as one that has no end */
  constructor(place: S3Place, client: S3Client, mostListed = MOST_LISTED) {
    this.#mostListed = mostListed;
    this.name = nameOf(place);
    this.#place = place;
    this.#client = client;
  }

  put(key: string, content: Uint8Array, signal?: AbortSignal): Promise<void> {
    const target = this.#target(key);
    return this.#use(signal, async (abortSignal) => {
      const metadata = { [SUM]: await sha256(content) };
      if (content.length > PART_BYTES) {
        return putInParts(this.#client, target, { content, metadata }, abortSignal);
      }
      const put = new PutObjectCommand({ ...target, Body: content, Metadata: metadata });
      await this.#client.send(put, { abortSignal });
    });
  }

  /** @throws DamagedSnapshotError if the server gives something else than was put */
  get(key: string, mostBytes: number, signal?: AbortSignal): Promise<Buffer | undefined> {
    const target = this.#target(key);
    return this.#use(signal, async (abortSignal) => {
      for (let left = READS; ; left--) {
        try {
          return await this.#read(target, mostBytes, abortSignal);
        } catch (error) {
          const mayPass = error instanceof BrokenOffError || error instanceof DamagedSnapshotError;
          if (left === 1 || !mayPass || abortSignal.aborted) throw error;
        }
      }
    });
  }

  look(key: string, signal?: AbortSignal): Promise<ListedObject | undefined> {
    const target = this.#target(key);
    return this.#use(signal, async (abortSignal) => {
      try {
        const found = await this.#client.send(new HeadObjectCommand(target), { abortSignal });
        return { key, bytes: found.ContentLength ?? 0, modifiedAtMs: wholeSeconds(found.LastModified) };
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
        // The answer to HEAD has no body, which would say whether the bucket is there.
        await this.#assertBucket(abortSignal);
        return undefined;
      }
    });
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ListedObject> {
    const [Bucket, root] = [this.#place.bucket, this.#root()];
    let from: string | undefined;
    let [listed, empty] = [0, 0];
    do {
      const page = await this.#use(signal, async (abortSignal) => {
        const request = { Bucket, Prefix: root + prefix, ContinuationToken: from };
        const pages = paginateListObjectsV2({ client: this.#client }, request, { abortSignal });
        return (await pages.next()).value;
      });
      const contents = page?.Contents ?? [];
      listed += contents.length;
      empty = contents.length === 0 ? empty + 1 : 0;
      const next = page?.NextContinuationToken;
      if (listed > this.#mostListed || empty > MOST_EMPTY_PAGES || (next !== undefined && next === from)) {
        throw new StoreUnavailableError(
          `the store ${this.name} does not work: its list of ${prefix} has no end`,
        );
      }
      for (const { Key = '', Size = 0, LastModified } of contents) {
        const key = Key.slice(root.length);
        if (isObjectKey(key)) yield { key, bytes: Size, modifiedAtMs: wholeSeconds(LastModified) };
      }
      from = next;
    } while (from !== undefined);
  }

  /** One request each: servers differ in what they want for many at once, and none lets that be done without a right to delete. */
  delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    const targets = keys.map((key) => this.#target(key));
    return this.#use(signal, (abortSignal) =>
      eachAtOnce(targets, { atOnce: AT_ONCE }, (target) => this.#deleteOne(target, abortSignal)),
    );
  }

  async #deleteOne(target: Target, abortSignal: AbortSignal): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand(target), { abortSignal });
    } catch (error) {
      if (!isNoSuchKey(error)) throw error;
    }
  }

  async #read(target: Target, mostBytes: number, abortSignal: AbortSignal): Promise<Buffer | undefined> {
    const found = await this.#client.send(new GetObjectCommand(target), { abortSignal }).catch((error) => {
      if (isNoSuchKey(error)) return undefined;
      throw error;
    });
    if (!found) return undefined;
    const body = addAbortSignal(abortSignal, found.Body as Readable);
    if ((found.ContentLength ?? 0) > mostBytes) throw tooLarge(body, target, mostBytes);
    const content = await this.#collect(body, target, mostBytes);
    if (content.length !== (found.ContentLength ?? content.length))
      throw new BrokenOffError('the content is not as long as was said');
    const sum = found.Metadata?.[SUM];
    // Whoever copies a store may leave out what lies beside its objects.
    if (sum !== undefined && sum !== (await sha256(content))) {
      throw new DamagedSnapshotError(
        `the store ${this.name} has another content as ${target.Key} than was put`,
      );
    }
    return content;
  }

  /** However much the server gives. */
  async #collect(body: Readable, target: Target, mostBytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const piece of body as AsyncIterable<Buffer>) {
        bytes += piece.length;
        if (bytes > mostBytes) throw tooLarge(body, target, mostBytes);
        pieces.push(piece);
      }
    } catch (error) {
      if (error instanceof TooLargeError) throw error;
      throw new BrokenOffError('the content broke off', { cause: error });
    }
    return Buffer.concat(pieces, bytes);
  }

  async #assertBucket(abortSignal: AbortSignal): Promise<void> {
    if (performance.now() - this.#bucketSeenAt < BUCKET_SEEN_MS) return;
    await this.#client.send(new HeadBucketCommand({ Bucket: this.#place.bucket }), { abortSignal });
    this.#bucketSeenAt = performance.now();
  }

  #target(key: string): Target {
    assertObjectKey(key);
    return { Bucket: this.#place.bucket, Key: this.#root() + key };
  }

  #root(): string {
    const { prefix } = this.#place;
    return prefix === '' ? '' : `${prefix}/`;
  }

  async #use<T>(signal: AbortSignal | undefined, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using time = new Deadline(MOST_MS, signal);
    time.signal.throwIfAborted();
    try {
      return await task(time.signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof TooLargeError || error instanceof DamagedSnapshotError) throw error;
      const cause: unknown = time.passed ? time.signal.reason : error;
      throw new StoreUnavailableError(messageOf(cause, this.#place), { cause });
    }
  }
}

/** A content came in part. */
class BrokenOffError extends Error {
  override readonly name = 'BrokenOffError';
}

/** Nothing else that is out of some range is the caller's. */
class TooLargeError extends RangeError {}

function tooLarge(body: Readable, { Key }: Target, mostBytes: number): TooLargeError {
  body.destroy();
  return new TooLargeError(`${Key} has more than ${mostBytes} bytes`);
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

function isNoSuchKey(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchKey';
}

/** Lists may be more exact than the answers of single objects. */
function wholeSeconds(time: Date | undefined): number {
  return Math.floor((time?.getTime() ?? 0) / 1_000) * 1_000;
}

/** Off the thread that answers everybody. */
async function sha256(content: Uint8Array): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', content)).toString('hex');
}
