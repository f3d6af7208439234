import { chmod, chown, link, lstat, mkdir, realpath, rename, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheKey } from '../engine/cache-key.ts';

/** A layer as an image names it. */
export interface Blob {
  /** `sha256:…` */
  digest: string;
  bytes: number;
}

const BLOBS = 'blobs/sha256';

/** Layers that a team pulled, for its next pulls. Of another team's it gets nothing, whatever digests it knows. */
export class BlobCache {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Puts what is there into an OCI layout that is being begun; whoever fills it cannot change it. */
  async lend(teamId: string, blobs: readonly Blob[], layout: string): Promise<void> {
    const now = new Date();
    for (const { digest } of blobs) {
      const kept = this.#pathOf(teamId, digest);
      const there = await utimes(kept, now, now).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return false;
          throw error;
        },
      );
      if (there) await link(kept, pathIn(layout, digest)).catch(ignoreMissingOrThere);
    }
  }

  /** Takes the layers of a layout whose digests were checked and that nobody fills any more. */
  async keep(teamId: string, blobs: readonly Blob[], layout: string): Promise<void> {
    // Its maker may have put a link in the place of a folder.
    if ((await realpath(join(layout, BLOBS))) !== join(await realpath(join(layout, '..')), 'layout', BLOBS))
      return;
    await mkdir(join(this.#dir, teamOf(teamId)), { recursive: true, mode: 0o700 });
    for (const { digest, bytes } of blobs) {
      const made = pathIn(layout, digest);
      const file = await lstat(made).catch(() => undefined);
      if (!file?.isFile() || file.nlink > 1 || file.size !== bytes) continue;
      await chown(made, 0, 0);
      await chmod(made, 0o444);
      await rename(made, this.#pathOf(teamId, digest));
    }
  }

  #pathOf(teamId: string, digest: string): string {
    return join(this.#dir, teamOf(teamId), hexOf(digest));
  }
}

/** Whatever an id holds, its name is one of a folder. */
const teamOf = (teamId: string) => cacheKey('blobs', teamId);
const hexOf = (digest: string) => digest.replace('sha256:', '');
const pathIn = (layout: string, digest: string) => join(layout, BLOBS, hexOf(digest));

function ignoreMissingOrThere(error: NodeJS.ErrnoException): void {
  // Freed meanwhile; or an image has the same layer twice.
  if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
}
