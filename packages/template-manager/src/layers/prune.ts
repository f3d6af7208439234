import { renameSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LAYER_NOTE, type LayerNote, readNote } from './layer-note.ts';
import type { LockFile } from './layer-store.ts';
import { removeTree } from './remove-tree.ts';

export interface PruneOptions {
  layersDir: string;
  lock: LockFile;
  /** Layers may hold so much together. */
  maxBytes: number;
  /** A layer that was asked for since (Unix ms) stays: a build may be on it. */
  usedSinceMs: number;
  /** Layers that stay in any case. */
  keeps: (layer: KnownLayer) => boolean;
  signal: AbortSignal;
}

export interface KnownLayer {
  id: string;
  rootfsDir: string;
  note: LayerNote;
  lastUsedMs: number;
}

export interface PruneResult {
  removed: number;
  freedBytes: number;
  /** What the layers that stay hold. */
  keptBytes: number;
}

/**
 * Removes what killed processes left half made, and then the layers that were longest not asked for, until the rest is small
 * enough. Other processes may make and use layers meanwhile.
 */
export async function pruneLayers(options: PruneOptions): Promise<PruneResult> {
  const { layersDir, maxBytes, usedSinceMs, keeps } = options;
  await removeHalfMade(options);
  const layers = await listLayers(layersDir);
  let keptBytes = layers.reduce((sum, { note }) => sum + note.bytes, 0);
  let freedBytes = 0;
  let removed = 0;
  for (const layer of layers.sort((a, b) => a.lastUsedMs - b.lastUsedMs)) {
    if (keptBytes <= maxBytes) break;
    if (layer.lastUsedMs >= usedSinceMs || keeps(layer)) continue;
    if (!(await removeLayer(options, layer))) continue;
    keptBytes -= layer.note.bytes;
    freedBytes += layer.note.bytes;
    removed++;
  }
  return { removed, freedBytes, keptBytes };
}

async function listLayers(layersDir: string): Promise<KnownLayer[]> {
  const layers: KnownLayer[] = [];
  for (const id of await names(layersDir)) {
    if (id.startsWith('.')) continue;
    const dir = join(layersDir, id);
    const [written, file] = await Promise.all([readNote(dir), stat(join(dir, LAYER_NOTE))]).catch(() => []);
    if (!written || !file) continue;
    // Layers of earlier versions do not say how large they are.
    const note: LayerNote = { ...written, madeFor: written.madeFor, bytes: written.bytes ?? 0 };
    layers.push({ id, rootfsDir: join(layersDir, id, 'rootfs'), note, lastUsedMs: file.mtimeMs });
  }
  return layers;
}

/** Under the lock of its key, so that nobody finds it while it goes. False if somebody holds that. */
async function removeLayer(
  { layersDir, lock, keeps, signal }: PruneOptions,
  layer: KnownLayer,
): Promise<boolean> {
  const { id } = layer;
  const key = id.split('.')[0] ?? '';
  await using held = await tryLock(lock, join(layersDir, `.${key}.lock`), signal);
  if (!held.taken) return false;
  const doomed = join(layersDir, `.making-${key}-removed`);
  await removeTree(doomed);
  // At once after the question: whoever begins to need it in between would find it, and then not.
  if (keeps(layer)) return false;
  renameSync(join(layersDir, id), doomed);
  await removeTree(doomed);
  return true;
}

async function removeHalfMade(options: PruneOptions): Promise<void> {
  for (const name of await names(options.layersDir)) {
    const key = /^\.making-(.+)-[^-]+$/.exec(name)?.[1];
    if (key !== undefined) await removeUnlessMade(name, key, options);
  }
}

/** Removes what nobody is making any more. */
async function removeUnlessMade(name: string, key: string, options: PruneOptions): Promise<void> {
  const { layersDir, lock, signal } = options;
  await using held = await tryLock(lock, join(layersDir, `.${key}.lock`), signal);
  if (held.taken) await removeTree(join(layersDir, name));
}

async function names(dir: string): Promise<string[]> {
  return readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}

/** A lock that is only taken if it is free. */
async function tryLock(
  lock: LockFile,
  path: string,
  signal: AbortSignal,
): Promise<AsyncDisposable & { taken: boolean }> {
  const giveUp = new AbortController();
  try {
    const held = await lock(path, {
      signal: AbortSignal.any([signal, giveUp.signal]),
      onWait: () => giveUp.abort(),
    });
    return { taken: true, [Symbol.asyncDispose]: () => held[Symbol.asyncDispose]() };
  } catch (error) {
    if (!giveUp.signal.aborted) throw error;
    return { taken: false, [Symbol.asyncDispose]: async () => {} };
  }
}
