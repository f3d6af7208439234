import { chmod, mkdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layer, LayerDisk, LayerRequest } from './layer.ts';
import { idsOf } from './layer-ids.ts';
import { LAYER_NOTE, type LayerNote, readNote, writeNote } from './layer-note.ts';
import { NewLayer } from './new-layer.ts';

export interface LockOptions {
  signal: AbortSignal;
  /** Called once if another process holds the lock and this one begins to wait. */
  onWait: () => void;
}

/** Takes a lock between processes that the kernel frees when its holder dies. */
export type LockFile = (path: string, options: LockOptions) => Promise<AsyncDisposable>;

/** A layer that is there. */
export interface FoundLayer extends AsyncDisposable {
  found: Layer;
}

export interface LayerStore {
  /**
   * The layer if it is there; if not, the room to make it in. Of several processes that ask at once, one makes it and the others wait
   * until that has disposed of it.
   * @throws the signal's reason if it aborts while another makes it
   */
  open(request: LayerRequest, signal: AbortSignal): Promise<FoundLayer | NewLayer>;
  /** The layer if it is there. */
  find(key: string): Promise<Layer | undefined>;
  /** Where the files of the first layer with this key are, or would be. */
  pathOf(key: string): string;
}

/**
 * Layers under `<layersDir>/<id>/rootfs`, the id being the key, or `<key>.<n>` if it was made again. A layer appears by a
 * rename when it is whole and on disk, so a directory that is there is complete; half-made ones are named `.making-…` and
 * removed. A layer never changes: whoever uses one that was made again since goes on with what it has.
 */
export function createLayerStore(layersDir: string, lock: LockFile, disk: LayerDisk): LayerStore {
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
        bytes: bytes ?? (await disk.diskUsage(rootfsDir)),
        digest: digest ?? known ?? (await disk.contentDigest(rootfsDir)),
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
    async open(request, signal) {
      const found = await find(request);
      if (found) return { found, [Symbol.asyncDispose]: async () => {} };

      await mkdir(layersDir, { recursive: true });
      // Layers hold set-user-ID programs of anybody's making.
      await chmod(layersDir, 0o700);
      const { onWait, key } = request;
      const held = await lock(join(layersDir, `.${key}.lock`), { signal, onWait });
      try {
        const foundNow = await find(request);
        if (!foundNow) return await NewLayer.begin({ layersDir, disk }, request, held);
        return { found: foundNow, [Symbol.asyncDispose]: () => held[Symbol.asyncDispose]() };
      } catch (error) {
        await held[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

/** Passes over what has no note that can be read: a cache that was copied or restored in part. It is made again then. */
async function newestWhole(
  layersDir: string,
  key: string,
): Promise<{ id: string; note: Partial<LayerNote> } | undefined> {
  for (const id of (await idsOf(layersDir, key)).reverse()) {
    const note = await readNote(join(layersDir, id));
    if (note) return { id, note };
  }
  return undefined;
}
