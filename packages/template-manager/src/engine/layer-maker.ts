import { idsOfNamespace } from '@islet/host';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { BuildPhase } from '../builds/build-error.ts';
import type { LayerDisk } from '../layers/layer.ts';
import type { LayerStore } from '../layers/layer-store.ts';
import { mergeLayers } from '../layers/merge.ts';
import { cacheKey } from './cache-key.ts';
import { type LayerStack, onTop } from './layer-stack.ts';
import type { Report } from './reporter.ts';
import { type SandboxSize, Workspace } from './workspace.ts';
import { CountedFolder, LimitedFolder, PlainFolder, type WritableFolder } from './writable-folder.ts';

/** What decides about a layer, beside what is below it. */
export type LayerParts = readonly (string | number | boolean | undefined)[];

export interface LayerWish {
  parts: LayerParts;
  /** Where in the build it is made, for errors. */
  phase: BuildPhase;
  description: Record<string, string>;
  freshFor?: string | undefined;
  /** Called if another process is already making it. */
  onWait: () => void;
  /** Of the sandbox that makes it. */
  size: SandboxSize;
}

/** A layer on a stack. One that is being made is gone when this is disposed of, unless it was kept. */
export interface StackLayer extends AsyncDisposable {
  /** Where it is made; undefined if the layer is there already. */
  workspace: Workspace | undefined;
  /** The stack with the layer on it; one that is being made holds what its workspace has. */
  keep(): Promise<LayerStack>;
}

export interface LayerMakerOptions {
  store: LayerStore;
  runtime: Pick<TemplateRuntime, 'openBuildSandbox'>;
  diskUsage: LayerDisk['diskUsage'];
  /** Most that all layers of a build may take together, MiB; absent: as much as there is. */
  diskLimitMb: number | undefined;
  report: Report;
}

/** One mount takes some forty layers with paths as long as ours. */
const MOST_LAYERS = 24;

/** Opens the layers of one build: cached ones, and new ones to be made in a sandbox. */
export class LayerMaker {
  readonly #options: LayerMakerOptions;

  constructor(options: LayerMakerOptions) {
    this.#options = options;
  }

  /** What a new layer on the stack will be found by. */
  key(stack: LayerStack, parts: LayerParts): string {
    return cacheKey('layer', stack.id, ...parts);
  }

  async open(below: LayerStack, wish: LayerWish, signal: AbortSignal): Promise<StackLayer> {
    const { runtime, report } = this.#options;
    const { parts, phase, size, description, freshFor, onWait } = wish;
    const stack = await this.#flattened(below, signal);
    const request = { key: this.key(stack, parts), description, freshFor, onWait };
    const layer = await this.#options.store.open(request, signal);
    const workspace = layer.found
      ? undefined
      : new Workspace({ runtime, report, phase, stack, size, folder: this.#folder(layer.dir, stack, phase) });
    return {
      workspace,
      keep: async () => onTop(stack, layer.found ?? (await layer.keep())),
      [Symbol.asyncDispose]: () => layer[Symbol.asyncDispose](),
    };
  }

  #folder(dir: string, stack: LayerStack, phase: BuildPhase): WritableFolder {
    const { diskLimitMb, diskUsage } = this.#options;
    if (diskLimitMb === undefined) return new PlainFolder(dir);
    const roomBytes = diskLimitMb * 1024 ** 2 - stack.bytes;
    const limit = { dir, roomBytes, limitMb: diskLimitMb, phase, diskUsage };
    // Root of a user namespace may mount no file system that is in a file.
    return idsOfNamespace() === undefined ? new LimitedFolder(limit) : new CountedFolder(limit);
  }

  /** The stack with fewer directories if there are too many to mount. Its id stays: so does its content. */
  async #flattened(stack: LayerStack, signal: AbortSignal): Promise<LayerStack> {
    if (stack.dirs.length <= MOST_LAYERS) return stack;
    await using merged = await this.#options.store.open(
      {
        key: cacheKey('merged', stack.id),
        description: { merged: stack.id },
        onWait: () => {},
        digest: stack.digest,
      },
      signal,
    );
    if (merged.found) return { ...stack, dirs: [merged.found.rootfsDir] };
    await mergeLayers(stack.dirs, merged.dir, signal);
    return { ...stack, dirs: [(await merged.keep()).rootfsDir] };
  }
}
