import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { DamagedSnapshotError } from '@islet/driver';
import { StoreUnavailableError } from '@islet/snapshots';
import { objectStoreContract } from '@islet/snapshots/contract';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createS3Client } from '../src/client.ts';
import { openS3Objects } from '../src/index.ts';
import { removeAbandoned } from '../src/parts.ts';
import type { S3Place } from '../src/place.ts';
import { TestServer } from './server.ts';

/** Another server than one of the tests' own; its credentials are where Amazon's tools look. */
const { ISLET_TEST_S3_URL: otherUrl, ISLET_TEST_S3_BUCKET: otherBucket } = process.env;

const BUCKET = otherBucket ?? 'islet';
const DAY_MS = 86_400_000;
const MOST = 1024 * 1024;

let server: TestServer | undefined;
let client: S3Client;
beforeAll(async () => {
  if (otherUrl === undefined) {
    server = await TestServer.start();
    for (const [name, value] of Object.entries(TestServer.env)) vi.stubEnv(name, value);
    await server.createBucket(BUCKET);
  }
  client = createS3Client(placeIn(''));
});
afterAll(async () => {
  client?.destroy();
  vi.unstubAllEnvs();
  await server?.[Symbol.asyncDispose]();
});

function placeIn(prefix: string, other: Partial<S3Place> = {}): S3Place {
  const endpoint = otherUrl ?? server?.url;
  const region = process.env.AWS_REGION ?? 'us-east-1';
  return { bucket: BUCKET, prefix, endpoint, region, pathStyle: true, ...other };
}

const open = (prefix: string = randomUUID()) => openS3Objects(placeIn(prefix));

/** At which nobody listens. */
async function freeUrl(): Promise<string> {
  const listener = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address() as { port: number };
  await new Promise((resolve) => listener.close(resolve));
  return `http://127.0.0.1:${port}`;
}

objectStoreContract('S3', async () => {
  const prefix = randomUUID();
  const { S3Objects } = await import('../src/s3-objects.ts');
  const store = await open(prefix);
  return {
    store,
    other: () => open(prefix),
    away: async () => {
      const place = placeIn(prefix, { endpoint: await freeUrl() });
      return new S3Objects(place, createS3Client(place));
    },
    remove: async () => {
      const keys = [];
      for (const all of ['many/', 'states/', 'chunks/', 'folder/', 'statesx/']) {
        for await (const { key } of store.list(all)) keys.push(key);
      }
      await store.delete([...keys, 'one', 'large', 'empty', 'g']);
      store[Symbol.dispose]();
    },
  };
});

describe('a bucket', () => {
  it('has keys below the prefix alone, and gives no object that is not one of the store', async () => {
    const prefix = `shared/${randomUUID()}`;
    using store = await open(prefix);
    await store.put('states/one', Buffer.from('1'));
    const beside = { Bucket: BUCKET, Key: `${prefix}/states/.not one of its own` };
    await client.send(new PutObjectCommand({ ...beside, Body: 'x' }));
    const found = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: `${prefix}/states/one` }));
    expect(await found.Body?.transformToString()).toBe('1');
    const keys = [];
    for await (const { key } of store.list('states/')) keys.push(key);
    expect(keys).toEqual(['states/one']);
    await store.delete(['states/one']);
    await client.send(new DeleteObjectCommand(beside));
  });

  it('lists objects at the times that each is found with', async () => {
    using store = await open();
    await store.put('times/one', Buffer.from('1'));
    const listed = [];
    for await (const each of store.list('times/')) listed.push(each);
    expect(listed).toEqual([await store.look('times/one')]);
    await store.delete(['times/one']);
  });

  it('gives what was put, or says that it is another', async () => {
    const prefix = randomUUID();
    using store = await open(prefix);
    await store.put('one', Buffer.from('content'));
    const at = { Bucket: BUCKET, Key: `${prefix}/one` };
    const { Metadata } = await client.send(new GetObjectCommand(at));
    await client.send(new PutObjectCommand({ ...at, Body: 'another', Metadata }));
    await expect(store.get('one', MOST)).rejects.toThrow(DamagedSnapshotError);
    // Copied without what lay beside it.
    await client.send(new PutObjectCommand({ ...at, Body: 'another' }));
    expect((await store.get('one', MOST))?.toString()).toBe('another');
    await store.delete(['one']);
  });

  it('forgets uploads in parts that were left a day ago, and no younger', async () => {
    const prefix = randomUUID();
    const at = { Bucket: BUCKET, Key: `${prefix}/half` };
    await client.send(new CreateMultipartUploadCommand(at));
    const uploads = async () => {
      const listed = await client.send(
        new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: `${prefix}/` }),
      );
      return listed.Uploads?.length ?? 0;
    };
    (await open(prefix))[Symbol.dispose]();
    expect(await uploads()).toBe(1);
    const where = { Bucket: BUCKET, Prefix: `${prefix}/` };
    await removeAbandoned(client, where, { before: Date.now() + DAY_MS }, new AbortController().signal);
    expect(await uploads()).toBe(0);
  });

  it('ends with its caller', async () => {
    using store = await open();
    const reason = new Error('the node stops');
    await expect(store.put('one', Buffer.alloc(9), AbortSignal.abort(reason))).rejects.toBe(reason);
    const ending = new AbortController();
    const putting = store.put('one', Buffer.alloc(20 * MOST), ending.signal);
    ending.abort(reason);
    await expect(putting).rejects.toBe(reason);
    expect(await store.get('one', 30 * MOST)).toBeUndefined();
  });
});

describe('what is wrong is said, with what to do', () => {
  const refusal = async (other: Partial<S3Place>) => {
    const error = await openS3Objects(placeIn('p', other)).then(
      () => undefined,
      (refused: unknown) => refused,
    );
    expect(error).toBeInstanceOf(StoreUnavailableError);
    return String((error as Error).message);
  };

  it('no server', async () => {
    const endpoint = await freeUrl();
    expect(await refusal({ endpoint })).toContain(`${endpoint} cannot be reached (ECONNREFUSED)`);
  });

  it('no bucket', async () => {
    expect(await refusal({ bucket: 'nobodys' })).toContain('there is no bucket nobodys: make it');
  });

  it.skipIf(otherUrl)('another region', async () => {
    expect(await refusal({ region: 'eu-north-1' })).toContain(
      'the bucket is in us-east-1: set --store-region',
    );
  });

  it.skipIf(otherUrl)('credentials', async () => {
    try {
      vi.stubEnv('AWS_ACCESS_KEY_ID', TestServer.guest);
      expect(await refusal({})).toContain('the credentials do not allow that: see "Permissions"');
      vi.stubEnv('AWS_ACCESS_KEY_ID', TestServer.env.AWS_ACCESS_KEY_ID);
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong');
      expect(await refusal({})).toContain('correct AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY');
      for (const name of ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID']) vi.stubEnv(name, undefined);
      vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null');
      vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
      expect(await refusal({})).toContain('set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
    } finally {
      vi.unstubAllEnvs();
      for (const [name, value] of Object.entries(TestServer.env)) vi.stubEnv(name, value);
    }
  });
});

describe.skipIf(otherUrl)('a server that is away', () => {
  it('is said to be so, and all goes on when it is back', async () => {
    using store = await open();
    await store.put('states/one', Buffer.from('1'));
    await server?.stop();
    await expect(store.look('states/one')).rejects.toThrow(StoreUnavailableError);
    await expect(store.put('states/two', Buffer.from('2'))).rejects.toThrow(StoreUnavailableError);
    await server?.restart();
    expect((await store.get('states/one', MOST))?.toString()).toBe('1');
    expect(await store.look('states/two')).toBeUndefined();
  });
});
