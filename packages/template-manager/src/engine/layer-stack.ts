import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Deadline } from '@islet/contracts';
import type { CommandRunner, TemplateRuntime } from '@islet/orchestrator';
import { BuildError, type BuildPhase } from '../builds/build-error.ts';
import { IN_IMAGE, makeLayerImage, takeFromImage } from '../layers/layer-image.ts';
import type { Layer, LayerDisk, LayerStore } from '../layers/layer-store.ts';
import { mergeLayers } from '../layers/merge.ts';
import { cacheKey } from './cache-key.ts';
import { runInside } from './inside.ts';

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
  /** Whether anything has to be made; where not, the layer holds no files, and no sandbox is started for it. Absent: it has. */
  isNeeded?: () => Promise<boolean>;
  /** Makes the layer in a sandbox; absent: it holds no files. */
  act?: (runner: CommandRunner, signal: AbortSignal) => Promise<void>;
}

export interface LayerMakerOptions {
  store: LayerStore;
  runtime: Pick<TemplateRuntime, 'withBuildSandbox'>;
  diskUsage: LayerDisk['diskUsage'];
  /** Most that all layers of a build may take together, MiB; absent: as much as there is. */
  diskLimitMb: number | undefined;
  /** Called before a sandbox is started to make a layer. */
  onSandbox: () => void;
}

/** A layer that is made in a sandbox. */
type ActiveLayer = NewLayer & Required<Pick<NewLayer, 'act'>>;

/** Bytes; with less, a sandbox could not even begin. */
const LEAST_ROOM = 1024 ** 2;
/** Longest wait for a sandbox to say how full its disk is, ms. */
const LOOK_MS = 10_000;

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
        make: async (dir, signal) => {
          layer.onMake?.();
          if (layer.isNeeded && !(await layer.isNeeded())) return;
          const room = this.#roomOn(stack);
          const { act } = layer;
          if (act) this.#options.onSandbox();
          if (!act) await layer.prepare?.(dir);
          else if (room === undefined) await this.#writeInto(dir, stack, { ...layer, act }, signal);
          else await this.#writeToImage(dir, stack, { ...layer, act, room }, signal);
        },
      },
      signal,
    );
    return { stack: await onTop(stack, made), cached: made.cached };
  }

  /** What a layer on the stack may take, bytes; undefined: as much as there is. */
  #roomOn(stack: LayerStack): number | undefined {
    const { diskLimitMb } = this.#options;
    return diskLimitMb === undefined ? undefined : diskLimitMb * 1024 ** 2 - stack.bytes;
  }

  /** Makes a layer in `dir`, a folder of the host, which has no size. */
  async #writeInto(dir: string, stack: LayerStack, layer: ActiveLayer, signal: AbortSignal): Promise<void> {
    const { prepare, act, size } = layer;
    await prepare?.(dir);
    const workDir = join(dirname(dir), 'work');
    await mkdir(workDir);
    const root = { lowerDirs: topmostFirst(stack), upperDir: dir, workDir };
    await this.#options.runtime.withBuildSandbox({ root, ...size }, (runner) => act(runner, signal), signal);
  }

  /** Makes a layer on a disk of its own, which has as much room as the layer may take, and copies it from there into `dir`. */
  async #writeToImage(
    dir: string,
    stack: LayerStack,
    layer: ActiveLayer & { room: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { phase, prepare, act, size, room } = layer;
    const beside = (name: string) => join(dirname(dir), name);
    const [seed, image, point] = [beside('seed'), beside('disk.img'), beside('disk')];
    for (const folder of [seed, point, join(seed, IN_IMAGE.upperDir), join(seed, IN_IMAGE.workDir)]) {
      await mkdir(folder);
    }
    await prepare?.(join(seed, IN_IMAGE.upperDir));
    if (room < LEAST_ROOM || (await this.#options.diskUsage(seed)) > room) throw this.#tooLarge(phase);
    await makeLayerImage(image, seed, room, signal);
    await rm(seed, { recursive: true });
    const root = { lowerDirs: topmostFirst(stack), image, ...IN_IMAGE };
    const use = async (runner: CommandRunner) => {
      await act(runner, signal).catch(async (error: unknown) => {
        // Why a program failed, it says in words of its own.
        if (!signal.aborted && (await isFull(runner))) throw this.#tooLarge(phase, error);
        throw error;
      });
    };
    await this.#options.runtime.withBuildSandbox({ root, ...size }, use, signal);
    await takeFromImage(image, point, dir, signal);
    if ((await this.#options.diskUsage(dir)) > room) throw this.#tooLarge(phase);
  }

  #tooLarge(phase: BuildPhase, cause?: unknown): BuildError {
    const { diskLimitMb } = this.#options;
    const said = cause instanceof BuildError ? `${cause.message}: its disk is full; ` : '';
    return new BuildError(
      phase,
      `${said}the template takes more disk than the ${diskLimitMb} MiB that its team may use for one: remove what is not needed in the step that makes it, or have the operator allow more (islet teams limit <team> --disk-mb <MiB>)`,
      { cause },
    );
  }

  /** The stack with fewer directories where there are too many to mount. Its id stays: so does its content. */
  async #flattened(stack: LayerStack, signal: AbortSignal): Promise<LayerStack> {
    if (stack.dirs.length <= MOST_LAYERS) return stack;
    const merged = await this.#options.store.ensure(
      {
        key: cacheKey('merged', stack.id),
        description: { merged: stack.id },
        onWait: () => {},
        digest: stack.digest,
        make: (dir, signal) => mergeLayers(stack.dirs, dir, signal),
      },
      signal,
    );
    return { ...stack, dirs: [merged.rootfsDir] };
  }
}

function topmostFirst({ dirs }: LayerStack): string[] {
  return [...dirs].reverse();
}

/** Whether nothing can be written in a build's sandbox any more; false also where it does not answer. */
async function isFull(runner: CommandRunner): Promise<boolean> {
  using limit = new Deadline(LOOK_MS);
  return await runInside(runner, { kind: 'look-for-room' }, '', limit.signal).then(
    () => false,
    (error) => error instanceof BuildError,
  );
}

/** A layer without files would only make mounts longer. */
async function onTop(stack: LayerStack, layer: Layer): Promise<LayerStack> {
  const empty = (await readdir(layer.rootfsDir)).length === 0;
  const dirs = empty ? stack.dirs : [...stack.dirs, layer.rootfsDir];
  const digest = empty ? stack.digest : cacheKey('stack', stack.digest, layer.digest);
  return { dirs, id: layer.id, digest, bytes: stack.bytes + layer.bytes };
}
