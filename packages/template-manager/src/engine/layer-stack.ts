import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CommandRunner, TemplateRuntime } from '@islet/orchestrator';
import { BuildError, type BuildPhase } from '../builds/build-error.ts';
import { type DiskLimit, withinDiskLimit } from '../layers/disk-limit.ts';
import type { Layer, LayerDisk, LayerStore } from '../layers/layer-store.ts';
import { mergeLayers } from '../layers/merge.ts';
import { cacheKey } from './cache-key.ts';

/** Layers on top of each other, as far as a build has come. */
export interface LayerStack {
  /** Root file systems, the lowest first. */
  dirs: readonly string[];
  /** Names the content of all of them. */
  id: string;
  /** What they take on the disk; a ready build that they stand on is not counted. */
  bytes: number;
}

export interface SandboxSize {
  cpuCount: number;
  memoryMb: number;
}

/** What decides about a layer, beside what is below it. */
export type LayerParts = readonly (string | number | boolean | undefined)[];

export interface NewLayer {
  parts: LayerParts;
  /** Where in the build it is made, for errors. */
  phase: BuildPhase;
  description: Record<string, string>;
  freshFor?: string | undefined;
  /** Called where another process is already making it. */
  onWait: () => void;
  /** Called where it is not there and will be made. */
  onMake?: () => void;
  size: SandboxSize;
  /** Puts files into the layer, as the host sees it, before the sandbox starts. */
  prepare?: (dir: string) => Promise<void>;
  /** Makes the layer in a sandbox; absent: it holds no files. */
  act?: (runner: CommandRunner, signal: AbortSignal) => Promise<void>;
}

export interface LayerMakerOptions {
  store: LayerStore;
  runtime: Pick<TemplateRuntime, 'withBuildSandbox'>;
  diskUsage: LayerDisk['diskUsage'];
  /** Most that all layers of a build may take together, MiB; absent: as much as there is. */
  diskLimitMb: number | undefined;
}

/** One mount takes some forty layers with paths as long as ours. */
const MOST_LAYERS = 24;

/** Puts layers on stacks: cached ones, or new ones made in a sandbox. */
export class LayerMaker {
  readonly #options: LayerMakerOptions;

  constructor(options: LayerMakerOptions) {
    this.#options = options;
  }

  /** What a new layer on the stack will be found by. */
  key(stack: LayerStack, parts: LayerParts): string {
    return cacheKey('layer', stack.id, ...parts);
  }

  async put(
    below: LayerStack,
    layer: NewLayer,
    signal: AbortSignal,
  ): Promise<{ stack: LayerStack; cached: boolean }> {
    const stack = await this.#flattened(below, signal);
    const { description, freshFor, onWait } = layer;
    const made = await this.#options.store.ensure(
      {
        key: this.key(stack, layer.parts),
        description,
        freshFor,
        onWait,
        make: (upperDir, signal) => {
          const limit = this.#limitOf(stack, layer, upperDir);
          const fill = (signal: AbortSignal) => this.#fill(stack, layer, upperDir, signal);
          return limit ? withinDiskLimit(limit, signal, fill) : fill(signal);
        },
      },
      signal,
    );
    return { stack: await onTop(stack, made), cached: made.cached };
  }

  /** Makes a layer in `upperDir`. */
  async #fill(stack: LayerStack, layer: NewLayer, upperDir: string, signal: AbortSignal): Promise<void> {
    const { onMake, prepare, act, size } = layer;
    onMake?.();
    await prepare?.(upperDir);
    if (!act) return;
    const workDir = join(dirname(upperDir), 'work');
    await mkdir(workDir);
    const root = { lowerDirs: [...stack.dirs].reverse(), upperDir, workDir };
    await this.#options.runtime.withBuildSandbox({ root, ...size }, (runner) => act(runner, signal), signal);
  }

  #limitOf(stack: LayerStack, { phase }: NewLayer, dir: string): DiskLimit | undefined {
    const { diskLimitMb, diskUsage } = this.#options;
    if (diskLimitMb === undefined) return undefined;
    return {
      dir,
      roomBytes: diskLimitMb * 1024 ** 2 - stack.bytes,
      diskUsage,
      error: () =>
        new BuildError(
          phase,
          `the template takes more disk than the ${diskLimitMb} MiB that its team may use for one: remove what is not needed in the step that makes it, or have the operator allow more (islet teams limit <team> --disk-mb <MiB>)`,
        ),
    };
  }

  /** The stack with fewer directories where there are too many to mount. Its id stays: so does its content. */
  async #flattened(stack: LayerStack, signal: AbortSignal): Promise<LayerStack> {
    if (stack.dirs.length <= MOST_LAYERS) return stack;
    const merged = await this.#options.store.ensure(
      {
        key: cacheKey('merged', stack.id),
        description: { merged: stack.id },
        onWait: () => {},
        make: (dir, signal) => mergeLayers(stack.dirs, dir, signal),
      },
      signal,
    );
    return { ...stack, dirs: [merged.rootfsDir] };
  }
}

/** A layer without files would only make mounts longer. */
async function onTop(stack: LayerStack, layer: Layer): Promise<LayerStack> {
  const empty = (await readdir(layer.rootfsDir)).length === 0;
  const dirs = empty ? stack.dirs : [...stack.dirs, layer.rootfsDir];
  return { dirs, id: layer.id, bytes: stack.bytes + layer.bytes };
}
