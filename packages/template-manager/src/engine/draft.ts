import { mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { InUse } from '../layers/in-use.ts';
import { linkTree } from '../layers/merge.ts';
import { removeTree } from '../layers/remove-tree.ts';

/**
 * The root file system that a build will end with, as far as it is known while the steps run: the lowest layer's files, of which there
 * are tens of thousands. What is not used is left to `removeDrafts`.
 */
export class Draft implements AsyncDisposable {
  readonly #dir: string;
  readonly #lowest: string;
  readonly #stop = new AbortController();
  readonly #held: Disposable;
  #linking: Promise<boolean> | undefined;

  /** @param dir where it is made; nothing is there yet, or what a killed process left */
  constructor(dir: string, lowest: string, inUse: InUse) {
    this.#dir = dir;
    this.#lowest = lowest;
    this.#held = inUse.hold(dir);
  }

  /** Begins, if it has not begun. */
  begin(): void {
    this.#linking ??= this.#link().then(
      () => true,
      () => false, // whoever wants it does it again, and learns why it fails
    );
  }

  /** Puts it in the place of an empty folder. @returns false if it is not of this layer, or could not be made. */
  async moveTo(target: string, lowest: string): Promise<boolean> {
    if (lowest !== this.#lowest || !(await this.#linking)) return false;
    await rmdir(target);
    await rename(this.#dir, target);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the build has ended'));
    await this.#linking;
    this.#held[Symbol.dispose]();
  }

  async #link(): Promise<void> {
    await mkdir(dirname(this.#dir), { recursive: true, mode: 0o700 });
    await removeTree(this.#dir);
    await mkdir(this.#dir, { mode: 0o755 });
    await linkTree(this.#lowest, this.#dir, this.#stop.signal);
  }
}

/** Removes drafts of builds that have ended. */
export async function removeDrafts(dir: string, inUse: InUse): Promise<void> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) {
    const draft = join(dir, name);
    if (!inUse.has(draft)) await removeTree(draft);
  }
}
