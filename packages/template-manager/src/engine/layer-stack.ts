import { readdir } from 'node:fs/promises';
import type { Layer } from '../layers/layer.ts';
import { cacheKey } from './cache-key.ts';

/** Layers on top of each other, as far as a build has come. */
export interface LayerStack {
  /** Root file systems, the lowest first. */
  dirs: readonly string[];
  /** Names the content of all of them. */
  id: string;
  /** Of the content of all of them: SHA-256 in hex, the same wherever layers of the same content lie in the same order. */
  digest: string;
  /** What they take on the disk; a ready build that they stand on is not counted. */
  bytes: number;
}

/** The stack with a layer on top. One without files would only make mounts longer: of that, the id alone is taken. */
export async function onTop(stack: LayerStack, layer: Layer): Promise<LayerStack> {
  const empty = (await readdir(layer.rootfsDir)).length === 0;
  const dirs = empty ? stack.dirs : [...stack.dirs, layer.rootfsDir];
  const digest = empty ? stack.digest : cacheKey('stack', stack.digest, layer.digest);
  return { dirs, id: layer.id, digest, bytes: stack.bytes + layer.bytes };
}
