import { execFile } from 'node:child_process';
import { rename, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { openS3Objects } from '@islet/s3';
import { TestServer, type TestServerPlace } from '@islet/s3/test-server';
import { ObjectDirectory, type ObjectStore } from '@islet/snapshots';
import { runIslet } from '../../setup/command.ts';

const run = promisify(execFile);

export const STORES = ['directory', 's3'] as const;
export type StoreKind = (typeof STORES)[number];

const BUCKET = 'islet';
const PREFIX = 'cluster';

/** The store of a cluster that is broken at random. */
export interface ClusterStore extends AsyncDisposable {
  /** Of `--store`. */
  name: string;
  /** For the nodes. */
  env: NodeJS.ProcessEnv;
  /** Has every call to it fail, or none. */
  set(isThere: boolean): Promise<void>;
  /** Keys of objects below a prefix, which ends with a slash. */
  keys(prefix: string): Promise<string[]>;
  /** What it has that belongs to nobody, and is not collected once it is old. */
  garbage(): Promise<string[]>;
}

/** A directory of this machine that all nodes see. */
export function directoryStore(path: string): ClusterStore {
  const [away, file] = [`${path}-away`, `${path}-file`];
  const open = () => ObjectDirectory.open(path);
  return {
    ...{ name: path, env: {} },
    async set(isThere) {
      if (isThere) {
        await rename(path, file);
        await rename(away, path);
        return;
      }
      await writeFile(file, '');
      await rename(path, away);
      await takePlace(file, path);
    },
    keys: async (prefix) => keysOf(await open(), prefix),
    async garbage() {
      await run('find', [path, '-exec', 'touch', '--no-dereference', '--date=-9 days', '{}', '+']);
      const [first, second] = [await collect(path), await collect(path)];
      const left = await statesWithoutBuild(await open());
      if (second.objects === first.objects - first.removedObjects) return left;
      return [
        ...left,
        `gc left ${second.objects} of ${first.objects} objects, and removed ${first.removedObjects}`,
      ];
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** A bucket of a server on a machine of its own. What is young is not collected, and its objects cannot be made old. */
export async function bucketStore(place: TestServerPlace): Promise<ClusterStore> {
  const server = await TestServer.start(place);
  await server.createBucket(BUCKET);
  const at = { bucket: BUCKET, prefix: PREFIX, endpoint: server.url, region: TestServer.env.AWS_REGION };
  const open = () => openS3Objects({ ...at, pathStyle: true });
  const env = { ...TestServer.env, AWS_ENDPOINT_URL_S3: server.url };
  Object.assign(process.env, env);
  return {
    ...{ name: `s3://${BUCKET}/${PREFIX}`, env },
    set: (isThere) => (isThere ? server.restart() : server.stop()),
    keys: async (prefix) => {
      using store = await open();
      return await keysOf(store, prefix);
    },
    garbage: async () => {
      using store = await open();
      return await statesWithoutBuild(store);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A node that is just putting something may make its folder anew; what it puts there was moved away with the rest. */
async function takePlace(file: string, path: string): Promise<void> {
  for (;;) {
    try {
      return await rename(file, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EISDIR') throw error;
      await rm(path, { recursive: true });
    }
  }
}

async function collect(store: string): Promise<{ objects: number; removedObjects: number }> {
  const { code, stdout, stderr } = await runIslet(['store', 'gc', '--store', store, '--json']);
  if (code !== 0) throw new Error(`islet store gc ended with ${code}: ${stdout}${stderr}`);
  return JSON.parse(stdout);
}

async function statesWithoutBuild(store: ObjectStore): Promise<string[]> {
  const [states, builds] = [await keysOf(store, 'states/'), await keysOf(store, 'records/builds/')];
  if (states.length <= builds.length) return [];
  return [`the store has ${states.length} states for ${builds.length} builds`];
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
