import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { removeTree } from './remove-tree.ts';

export interface LockOptions {
  signal: AbortSignal;
  /** Called once where another process holds the lock and this one begins to wait. */
  onWait: () => void;
}

/** Takes a lock between processes that the kernel frees when its holder dies. */
export type LockFile = (path: string, options: LockOptions) => Promise<AsyncDisposable>;

export interface LayerRequest {
  /** Names what the layer is made of. */
  key: string;
  /** Written beside the layer, for people. */
  description: Record<string, string>;
  /** Fills `dir`, which exists and is empty; beside it is room for what is not to be kept. */
  make: (dir: string, signal: AbortSignal) => Promise<void>;
  /** Called where another process is already making this layer. */
  onWait: () => void;
  /** Make it again even if it is there, except where it was made for this very build (which then goes on after a crash). */
  freshFor?: string | undefined;
  /** Of its content, where that is known already. */
  digest?: string;
}

export interface Layer {
  /** Names this very content: a layer that is made again gets another id. */
  id: string;
  rootfsDir: string;
  /** Whether it was there before. */
  cached: boolean;
  /** What it takes on the disk. */
  bytes: number;
  /** Of its content: SHA-256 in hex. */
  digest: string;
}

export interface LayerStore {
  /** The layer, made if it is not there. Of several processes that ask at once, one makes it. */
  ensure(request: LayerRequest, signal: AbortSignal): Promise<Layer>;
  /** The layer where it is there. */
  find(key: string): Promise<Layer | undefined>;
  /** Where the files of the first layer with this key are, or would be. */
  pathOf(key: string): string;
}

/** What is kept beside a layer; its time of modification is when the layer was last asked for. */
export const LAYER_NOTE = 'layer.json';

/**
 * Layers under `<layersDir>/<id>/rootfs`, the id being the key, or `<key>.<n>` where it was made again. A layer appears by a
 * rename when it is whole and on disk, so a directory that is there is complete; half-made ones are named `.making-…` and
 * removed. A layer never changes: whoever uses one that was made again since goes on with what it has.
 */
export function createLayerStore(
  layersDir: string,
  lock: LockFile,
  { syncFs, diskUsage, contentDigest }: LayerDisk,
): LayerStore {
  const rootfsOf = (id: string) => join(layersDir, id, 'rootfs');
  const find = async ({
    key,
    freshFor,
    digest: known,
  }: Pick<LayerRequest, 'key' | 'freshFor' | 'digest'>): Promise<Layer | undefined> => {
    const newest = await newestWhole(layersDir, key);
    if (!newest) return undefined;
    const { id, note } = newest;
    if (freshFor !== undefined && note.madeFor !== freshFor) return undefined;
    const rootfsDir = rootfsOf(id);
    const { bytes, digest } = note;
    if (bytes === undefined || digest === undefined) {
      // Layers of earlier versions do not say it of themselves.
      const whole = {
        ...note,
        madeFor: note.madeFor,
        bytes: bytes ?? (await diskUsage(rootfsDir)),
        digest: digest ?? known ?? (await contentDigest(rootfsDir)),
      };
      await writeNote(join(layersDir, id), whole);
      return { id, rootfsDir, cached: true, bytes: whole.bytes, digest: whole.digest };
    }
    const now = new Date();
    await utimes(join(layersDir, id, LAYER_NOTE), now, now);
    return { id, rootfsDir, cached: true, bytes, digest };
  };

  return {
    find: (key) => find({ key }),
    pathOf: rootfsOf,
    async ensure(request, signal) {
      const found = await find(request);
      if (found) return found;

      await mkdir(layersDir, { recursive: true });
      // Layers hold set-user-ID programs of anybody's making.
      await chmod(layersDir, 0o700);
      const { onWait, key } = request;
      await using _held = await lock(join(layersDir, `.${key}.lock`), { signal, onWait });
      const foundNow = await find(request);
      if (foundNow) return foundNow;

      const prefix = `.making-${key}-`;
      await removeAll(layersDir, prefix);
      const making = await mkdtemp(join(layersDir, prefix));
      try {
        const rootfs = join(making, 'rootfs');
        await mkdir(rootfs, { mode: 0o755 });
        await request.make(rootfs, signal);
        for (const name of await readdir(making)) {
          if (name !== 'rootfs') await rm(join(making, name), { recursive: true, force: true });
        }
        const bytes = await diskUsage(rootfs);
        const digest = request.digest ?? (await contentDigest(rootfs));
        await writeNote(making, { ...request.description, madeFor: request.freshFor, bytes, digest });
        await syncFs(making);
        const newest = (await generations(layersDir, key)).at(-1);
        const id = newest === undefined ? key : `${key}.${generationOf(newest) + 1}`;
        await rename(making, join(layersDir, id));
        return { id, rootfsDir: rootfsOf(id), cached: false, bytes, digest };
      } catch (error) {
        await removeTree(making);
        throw error;
      }
    },
  };
}

/** What a store asks of the file system that it is on. */
export interface LayerDisk {
  /** Writes out everything of the file system that `path` is on. */
  syncFs(path: string): Promise<void>;
  /** Bytes that a tree takes. */
  diskUsage(path: string): Promise<number>;
  /** SHA-256, in hex, of a tree: names, content, kinds, modes, owners, times and extended attributes of all that is in it. */
  contentDigest(path: string): Promise<string>;
}

/** What is written beside a layer. */
export interface LayerNote {
  [about: string]: string | number | undefined;
  /** The build for which it was made again. */
  madeFor: string | undefined;
  bytes: number;
  /** Absent in layers of earlier versions that were not asked for since. */
  digest?: string;
}

const NOTE = Type.Object({
  madeFor: Type.Optional(Type.String()),
  bytes: Type.Optional(Type.Number({ minimum: 0 })),
  digest: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
});

/** Ids of the layers with this key, the newest last. */
async function generations(layersDir: string, key: string): Promise<string[]> {
  const names = await readdir(layersDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const own = names.filter((name) => name === key || name.startsWith(`${key}.`));
  return own.sort((a, b) => generationOf(a) - generationOf(b));
}

function generationOf(id: string): number {
  return Number(id.split('.')[1] ?? 1);
}

/** Passes over what has no note that can be read: a cache that was copied or restored in part. It is made again then. */
async function newestWhole(
  layersDir: string,
  key: string,
): Promise<{ id: string; note: Partial<LayerNote> } | undefined> {
  for (const id of (await generations(layersDir, key)).reverse()) {
    const note = await readNote(join(layersDir, id));
    if (note) return { id, note };
  }
  return undefined;
}

/** An earlier note is replaced at once. */
async function writeNote(dir: string, note: LayerNote): Promise<void> {
  const unfinished = join(dir, `${LAYER_NOTE}.${crypto.randomUUID()}`);
  await writeFile(unfinished, `${JSON.stringify(note, undefined, 2)}\n`);
  await rename(unfinished, join(dir, LAYER_NOTE));
}

/** The note in a layer's folder; undefined if there is none that can be read. */
export async function readNote(dir: string): Promise<Partial<LayerNote> | undefined> {
  try {
    const note: unknown = JSON.parse(await readFile(join(dir, LAYER_NOTE), 'utf8'));
    return Value.Check(NOTE, note) ? note : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** What a process that was killed in the middle left; the lock says that nobody is at it any more. */
async function removeAll(dir: string, prefix: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name.startsWith(prefix)) await removeTree(join(dir, name));
  }
}
