import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CommandRunner, TemplateRuntime } from '@islet/orchestrator';
import type { Layer, LayerStore } from '../layers/layer-store.ts';
import { mergeLayers } from '../layers/merge.ts';
import { cacheKey } from './cache-key.ts';

/** Layers on top of each other, as far as a build has come. */
export interface LayerStack {
  /** Root file systems, the lowest first. */
  dirs: readonly string[];
  /** Names the content of all of them. */
  id: string;
}

export interface SandboxSize {
  cpuCount: number;
  memoryMb: number;
}

/** What decides about a layer, beside what is below it. */
export type LayerParts = readonly (string | number | boolean | undefined)[];

export interface NewLayer {
  parts: LayerParts;
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

/** One mount takes some forty layers with paths as long as ours. */
const MOST_LAYERS = 24;

/** Puts layers on stacks: cached ones, or new ones made in a sandbox. */
export class LayerMaker {
  readonly #store: LayerStore;
  readonly #runtime: Pick<TemplateRuntime, 'withBuildSandbox'>;

  constructor(store: LayerStore, runtime: Pick<TemplateRuntime, 'withBuildSandbox'>) {
    this.#store = store;
    this.#runtime = runtime;
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
    const { description, freshFor, onWait, size } = layer;
    const made = await this.#store.ensure(
      {
        key: this.key(stack, layer.parts),
        description,
        freshFor,
        onWait,
        make: async (upperDir, signal) => {
          layer.onMake?.();
          await layer.prepare?.(upperDir);
          const { act } = layer;
          if (!act) return;
          const workDir = join(dirname(upperDir), 'work');
          await mkdir(workDir);
          const root = { lowerDirs: [...stack.dirs].reverse(), upperDir, workDir };
          await this.#runtime.withBuildSandbox({ root, ...size }, (runner) => act(runner, signal), signal);
        },
      },
      signal,
    );
    return { stack: await onTop(stack, made), cached: made.cached };
  }

  /** The stack with fewer directories where there are too many to mount. Its id stays: so does its content. */
  async #flattened(stack: LayerStack, signal: AbortSignal): Promise<LayerStack> {
    if (stack.dirs.length <= MOST_LAYERS) return stack;
    const merged = await this.#store.ensure(
      {
        key: cacheKey('merged', stack.id),
        description: { merged: stack.id },
        onWait: () => {},
        make: (dir, signal) => mergeLayers(stack.dirs, dir, signal),
      },
      signal,
    );
    return { dirs: [merged.rootfsDir], id: stack.id };
  }
}

/** A layer without files would only make mounts longer. */
async function onTop(stack: LayerStack, layer: Layer): Promise<LayerStack> {
  const empty = (await readdir(layer.rootfsDir)).length === 0;
  return { dirs: empty ? stack.dirs : [...stack.dirs, layer.rootfsDir], id: layer.id };
}
