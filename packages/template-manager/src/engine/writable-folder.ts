import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BuildSandboxRequest } from '@islet/orchestrator';
import { BuildError, type BuildPhase } from '../builds/build-error.ts';
import type { LayerDisk } from '../layers/layer.ts';
import { IN_IMAGE, makeLayerImage, takeFromImage } from '../layers/layer-image.ts';

/** What a sandbox mounts above the layers that it stands on. */
export type WritableTop = Omit<BuildSandboxRequest['root'], 'lowerDirs'>;

/** The folder of a layer that is being made, as a sandbox fills it. What else it needs lies beside it, and goes with the layer. */
export interface WritableFolder {
  /** A folder of the host. What is put there before the sandbox starts, the sandbox finds at its root. */
  seedDir(): Promise<string>;
  /** @throws BuildError if what was put there is too large. */
  mountable(signal: AbortSignal): Promise<WritableTop>;
  /** Has the folder hold what the sandbox, which has ended, wrote. @throws BuildError if that is too large. */
  collect(signal: AbortSignal): Promise<void>;
  /** What to say of a job that failed with a full disk; absent if the folder has no limit of its own. */
  tooLarge?(cause: unknown): BuildError;
}

/** As large as the disk of the host is. */
export class PlainFolder implements WritableFolder {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async seedDir(): Promise<string> {
    return this.#dir;
  }

  async mountable(): Promise<WritableTop> {
    const workDir = join(dirname(this.#dir), 'work');
    await mkdir(workDir);
    return { upperDir: this.#dir, workDir };
  }

  async collect(): Promise<void> {}
}

/** A folder of the host whose size is looked at when it is filled: a step may take what the disk of the host has until then. */
export class CountedFolder extends PlainFolder {
  readonly #limit: FolderLimit;

  constructor(limit: FolderLimit) {
    super(limit.dir);
    this.#limit = limit;
  }

  override async collect(): Promise<void> {
    const { dir, roomBytes, diskUsage } = this.#limit;
    if ((await diskUsage(dir)) > roomBytes) throw tooLarge(this.#limit);
  }
}

/** Bytes; with less, a sandbox could not even begin. */
const LEAST_ROOM = 1024 ** 2;

export interface FolderLimit {
  dir: string;
  /** What the layer may take. */
  roomBytes: number;
  /** What all layers of the build may take together, MiB. */
  limitMb: number;
  phase: BuildPhase;
  diskUsage: LayerDisk['diskUsage'];
}

/** Filled from a disk of its own, which has as much room as the layer may take: a folder of the host has no size. */
export class LimitedFolder implements WritableFolder {
  readonly #limit: FolderLimit;
  readonly #seed: string;
  readonly #image: string;

  constructor(limit: FolderLimit) {
    this.#limit = limit;
    this.#seed = this.#beside('seed');
    this.#image = this.#beside('disk.img');
  }

  async seedDir(): Promise<string> {
    const upper = join(this.#seed, IN_IMAGE.upperDir);
    for (const dir of [upper, join(this.#seed, IN_IMAGE.workDir)]) await mkdir(dir, { recursive: true });
    return upper;
  }

  async mountable(signal: AbortSignal): Promise<WritableTop> {
    const { roomBytes, diskUsage } = this.#limit;
    await this.seedDir();
    if (roomBytes < LEAST_ROOM || (await diskUsage(this.#seed)) > roomBytes) throw this.tooLarge();
    await makeLayerImage(this.#image, this.#seed, roomBytes, signal);
    await rm(this.#seed, { recursive: true });
    return { image: this.#image, ...IN_IMAGE };
  }

  async collect(signal: AbortSignal): Promise<void> {
    const { dir, roomBytes, diskUsage } = this.#limit;
    const point = this.#beside('disk');
    await mkdir(point);
    await takeFromImage(this.#image, point, dir, signal);
    if ((await diskUsage(dir)) > roomBytes) throw this.tooLarge();
  }

  tooLarge(cause?: unknown): BuildError {
    return tooLarge(this.#limit, cause);
  }

  #beside(name: string): string {
    return join(dirname(this.#limit.dir), name);
  }
}

function tooLarge({ phase, limitMb }: FolderLimit, cause?: unknown): BuildError {
  const said = cause instanceof BuildError ? `${cause.message}: its disk is full; ` : '';
  return new BuildError(
    phase,
    `${said}the template takes more disk than the ${limitMb} MiB that its team may use for one: remove what is not needed in the step that makes it, or have the operator allow more (islet teams limit <team> --disk-mb <MiB>)`,
    { cause },
  );
}
