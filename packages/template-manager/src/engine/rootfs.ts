import type { TemplateRuntime } from '@islet/orchestrator';
import { machineDisk } from '../layers/disk.ts';
import type { LayerStore } from '../layers/layer-store.ts';
import { applyLayers, linkTree } from '../layers/merge.ts';
import { cacheKey } from './cache-key.ts';
import type { Draft } from './draft.ts';
import type { LayerStack } from './layer-stack.ts';

export interface RootfsDeps {
  runtime: Pick<TemplateRuntime, 'rootfsDirs'>;
  /** Root file systems of ready builds. */
  rootfs: LayerStore;
  /** Written beside each of them. */
  rootfsNote: Readonly<Record<string, string>>;
}

/** The one plain directory of all layers, shared by the builds that have the same. */
export interface PlannedRootfs {
  /** Where it is or will be. */
  dir: string;
  /** What it is made by; absent if a build has it already. */
  key?: string;
}

export function plannedRootfs({ runtime, rootfs }: RootfsDeps, stack: LayerStack): PlannedRootfs {
  const [only, ...others] = stack.dirs;
  // Nothing was added to the build that this one stands on.
  if (only !== undefined && others.length === 0 && runtime.rootfsDirs().has(only)) return { dir: only };
  const key = cacheKey('rootfs', stack.id);
  return { dir: rootfs.pathOf(key), key };
}

export interface RootfsRequest {
  planned: PlannedRootfs;
  stack: LayerStack;
  /** Begun with the lowest layer's files, of which there are tens of thousands. */
  draft: Draft | undefined;
}

/** Makes it if it is not there. @returns what it takes on the disk, bytes. */
export async function ensureRootfs(
  { rootfs, rootfsNote }: RootfsDeps,
  { planned: { dir, key }, stack, draft }: RootfsRequest,
  signal: AbortSignal,
): Promise<number> {
  if (key === undefined) return machineDisk.diskUsage(dir);
  const description = { ...rootfsNote, stack: stack.id };
  await using made = await rootfs.open({ key, description, digest: stack.digest, onWait: () => {} }, signal);
  if (made.found) return made.found.bytes;
  const [lowest = '', ...uppers] = stack.dirs;
  if (!(await draft?.moveTo(made.dir, lowest))) await linkTree(lowest, made.dir, signal);
  await applyLayers(uppers, made.dir, signal);
  return (await made.keep()).bytes;
}
