import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface LockOptions {
  signal: AbortSignal;
  /** Called once where another process holds the lock and this one begins to wait. */
  onWait: () => void;
}

/** Takes a lock between processes that the kernel frees when its holder dies. */
export type LockFile = (path: string, options: LockOptions) => Promise<AsyncDisposable>;

export interface LayerRequest {
  /** Names the content: the same key always means the same layer. */
  key: string;
  /** Written beside the layer, for people. */
  description: Record<string, string>;
  /** Fills `dir`, which exists and is empty. */
  make: (dir: string, signal: AbortSignal) => Promise<void>;
  /** Called where another process is already making this layer. */
  onWait: () => void;
}

export interface Layer {
  rootfsDir: string;
  /** Whether it was there before. */
  cached: boolean;
}

export interface LayerStore {
  /** The layer, made if it is not there. Of several processes that ask at once, one makes it. */
  ensure(request: LayerRequest, signal: AbortSignal): Promise<Layer>;
}

/**
 * Layers under `<cacheDir>/layers/<key>/rootfs`. A layer appears by a rename when it is whole and on disk, so a directory
 * that is there is complete; half-made ones are named `.making-…` and removed.
 */
export function createLayerStore(cacheDir: string, lock: LockFile, syncFs: SyncFs): LayerStore {
  const layersDir = join(cacheDir, 'layers');
  const rootfsOf = (key: string) => join(layersDir, key, 'rootfs');

  return {
    async ensure(request, signal) {
      const rootfsDir = rootfsOf(request.key);
      if (await isDirectory(rootfsDir)) return { rootfsDir, cached: true };

      await mkdir(layersDir, { recursive: true });
      const { onWait } = request;
      await using _held = await lock(join(layersDir, `.${request.key}.lock`), { signal, onWait });
      if (await isDirectory(rootfsDir)) return { rootfsDir, cached: true };

      const prefix = `.making-${request.key}-`;
      await removeAll(layersDir, prefix);
      const making = await mkdtemp(join(layersDir, prefix));
      try {
        const rootfs = join(making, 'rootfs');
        await mkdir(rootfs, { mode: 0o755 });
        await request.make(rootfs, signal);
        await writeFile(join(making, 'layer.json'), `${JSON.stringify(request.description, undefined, 2)}\n`);
        await syncFs(making);
        await rename(making, join(layersDir, request.key));
      } catch (error) {
        await rm(making, { recursive: true, force: true });
        throw error;
      }
      return { rootfsDir, cached: false };
    },
  };
}

/** Writes out everything of the file system that `path` is on. */
export type SyncFs = (path: string) => Promise<void>;

/** What a process that was killed in the middle left; the lock says that nobody is at it any more. */
async function removeAll(dir: string, prefix: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name.startsWith(prefix)) await rm(join(dir, name), { recursive: true, force: true });
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
