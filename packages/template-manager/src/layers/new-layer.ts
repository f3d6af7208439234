import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layer, LayerDisk, LayerRequest } from './layer.ts';
import { nextId } from './layer-ids.ts';
import { writeNote } from './layer-note.ts';
import { removeTree } from './remove-tree.ts';

export interface NewLayerSite {
  layersDir: string;
  disk: LayerDisk;
}

/**
 * A layer that is made by this process, and meanwhile by no other. What was not kept is gone when it is disposed of, and the next one
 * that wants the layer may make it.
 */
export class NewLayer implements AsyncDisposable {
  readonly found = undefined;
  /** To be filled: exists and is empty at first. Beside it is room for what is not to be kept. */
  readonly dir: string;
  readonly #site: NewLayerSite;
  readonly #request: LayerRequest;
  readonly #lock: AsyncDisposable;
  readonly #making: string;
  #keeping: Promise<Layer> | undefined;

  private constructor(site: NewLayerSite, request: LayerRequest, lock: AsyncDisposable, making: string) {
    this.#site = site;
    this.#request = request;
    this.#lock = lock;
    this.#making = making;
    this.dir = join(making, 'rootfs');
  }

  /** @param lock on the layer's key; freed with the layer, and left to the caller if this throws */
  static async begin(site: NewLayerSite, request: LayerRequest, lock: AsyncDisposable): Promise<NewLayer> {
    const { layersDir } = site;
    const prefix = `.making-${request.key}-`;
    await removeAll(layersDir, prefix);
    const layer = new NewLayer(site, request, lock, await mkdtemp(join(layersDir, prefix)));
    await mkdir(layer.dir, { mode: 0o755 }).catch(async (error: unknown) => {
      await removeTree(layer.#making);
      throw error;
    });
    return layer;
  }

  /** Puts it into the store; it is whole and on disk when this returns. */
  keep(): Promise<Layer> {
    this.#keeping ??= this.#keep();
    return this.#keeping;
  }

  /** Waits for `keep`, if that was begun. */
  async [Symbol.asyncDispose](): Promise<void> {
    const isKept = await this.#keeping?.then(
      () => true,
      () => false,
    );
    try {
      if (!isKept) await removeTree(this.#making);
    } finally {
      await this.#lock[Symbol.asyncDispose]();
    }
  }

  async #keep(): Promise<Layer> {
    const { layersDir, disk } = this.#site;
    const { key, description, freshFor, digest: known } = this.#request;
    const making = this.#making;
    for (const name of await readdir(making)) {
      if (name !== 'rootfs') await rm(join(making, name), { recursive: true, force: true });
    }
    const bytes = await disk.diskUsage(this.dir);
    const digest = known ?? (await disk.contentDigest(this.dir));
    await writeNote(making, { ...description, madeFor: freshFor, bytes, digest });
    await disk.syncFs(making);
    const id = await nextId(layersDir, key);
    await rename(making, join(layersDir, id));
    return { id, rootfsDir: join(layersDir, id, 'rootfs'), cached: false, bytes, digest };
  }
}

/** What a process that was killed in the middle left; the lock says that no one is at it any more. */
async function removeAll(dir: string, prefix: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name.startsWith(prefix)) await removeTree(join(dir, name));
  }
}
