import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LockFile } from './layers/layer-store.ts';
import { type PruneResult, pruneLayers } from './layers/prune.ts';

export interface PruneCacheOptions {
  cacheDir: string;
  lock: LockFile;
  /** Layers may hold so much together. */
  maxBytes: number;
  /** Unix ms. */
  now: number;
}

/** What marks such a root file system, with the template's name. */
export const SHIPPED_NOTE = 'shipped';

/** No build takes longer, so that no layer of one that runs is older. */
const LONGEST_BUILD_MS = 60 * 60 * 1000;
/** Blobs of images only save a part of another image's pull. */
const BLOBS_KEPT_MS = 24 * 60 * 60 * 1000;
/** A pull's own folder that is older belongs to a process that was killed. */
const LONGEST_PULL_MS = 2 * LONGEST_BUILD_MS;

/**
 * Keeps the layer cache within a bound: what was longest not used goes first. What was used within the last hour stays, and so do
 * root file systems of the templates that ship with Islet, on which sandboxes of any Islet on this machine may stand.
 */
export async function pruneLayerCache({
  cacheDir,
  lock,
  maxBytes,
  now,
}: PruneCacheOptions): Promise<PruneResult> {
  const images = join(cacheDir, 'images');
  for (const team of await readdir(join(images, 'blobs')).catch(() => [])) {
    await removeOlder(join(images, 'blobs', team), now - BLOBS_KEPT_MS);
  }
  await removeOlder(join(images, 'pulls'), now - LONGEST_PULL_MS);
  return pruneLayers({
    layersDir: join(cacheDir, 'layers'),
    lock,
    maxBytes,
    usedSinceMs: now - LONGEST_BUILD_MS,
    keeps: ({ note }) => note[SHIPPED_NOTE] !== undefined,
    signal: new AbortController().signal,
  });
}

async function removeOlder(dir: string, thanMs: number): Promise<void> {
  for (const name of await readdir(dir).catch(() => [])) {
    const path = join(dir, name);
    const info = await stat(path).catch(() => undefined);
    if (info && info.mtimeMs < thanMs) await rm(path, { recursive: true, force: true });
  }
}
