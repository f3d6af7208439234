import { join } from 'node:path';
import { openS3Objects } from '@islet/s3';
import { TestServer } from '@islet/s3/test-server';
import { ObjectDirectory, type ObjectStore } from '@islet/snapshots';
import { vi } from 'vitest';

const BUCKET = 'islet';
const PREFIX = 'two-nodes';

/** A store that nodes share, as the test sees it. */
export interface SharedStore extends AsyncDisposable {
  /** Of `--store`. */
  name: string;
  /** Keys below a prefix, which ends with a slash. */
  keys(prefix: string): Promise<string[]>;
  /** Undefined: it is a directory. */
  server: TestServer | undefined;
}

/** In a directory below the one that is named, or in a bucket of a server of its own, whose credentials this process hands on. */
export async function openSharedStore(kind: 'directory' | 'S3', dir: string): Promise<SharedStore> {
  if (kind === 'directory') {
    const name = join(dir, 'store');
    const keys = keysOf(await ObjectDirectory.open(name));
    return { name, keys, server: undefined, [Symbol.asyncDispose]: async () => undefined };
  }
  const server = await TestServer.start();
  await server.createBucket(BUCKET);
  const variables = { ...TestServer.env, AWS_ENDPOINT_URL_S3: server.url };
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  const place = { bucket: BUCKET, prefix: PREFIX, endpoint: server.url, region: TestServer.env.AWS_REGION };
  const store = await openS3Objects({ ...place, pathStyle: true });
  return {
    ...{ name: `s3://${BUCKET}/${PREFIX}`, keys: keysOf(store), server },
    async [Symbol.asyncDispose]() {
      store[Symbol.dispose]();
      vi.unstubAllEnvs();
      await server[Symbol.asyncDispose]();
    },
  };
}

function keysOf(store: ObjectStore): SharedStore['keys'] {
  return async (prefix) => {
    const keys = [];
    for await (const { key } of store.list(prefix)) keys.push(key);
    return keys;
  };
}
