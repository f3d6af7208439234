import { mkdir, readdir, readlink, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { rootFileSystemMissing } from '@islet/contracts';

/** A root file system that does not change any more. */
export interface RootFileSystem {
  /** Of its content, as far as it was made of layers whose content is known. */
  digest: string;
  /** Where it is on this machine. */
  dir: string;
}

/**
 * Where the node has the root file systems that saved states need: links to their directories, each under its digest. The directories
 * are their makers', who ask `dirs` before they remove one.
 */
export class RootFileSystems {
  readonly #dir: string;
  readonly #known = new Map<string, string>();
  /** How often each is held. */
  readonly #held = new Map<string, number>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens the folder of links, and drops those to directories that are gone. */
  static async open(dir: string): Promise<RootFileSystems> {
    const roots = new RootFileSystems(dir);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const digest of await readdir(dir)) {
      const target = resolve(dir, await readlink(join(dir, digest)));
      if (await isDirectory(target)) roots.#known.set(digest, target);
      else await rm(join(dir, digest));
    }
    return roots;
  }

  /** Keeps the directory of a root file system from being removed. */
  hold(digest: string): Disposable {
    this.#held.set(digest, (this.#held.get(digest) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#held.get(digest) ?? 1) - 1;
        if (left === 0) this.#held.delete(digest);
        else this.#held.set(digest, left);
      },
    };
  }

  /**
   * Writes down where a root file system is; it has to be held.
   * @returns where to take it from: the directory that is known already, if there is another one with the same content
   */
  async add({ digest, dir }: RootFileSystem): Promise<string> {
    const known = this.#known.get(digest);
    if (known !== undefined && (known === dir || (await isDirectory(known)))) return known;
    // The directory's name had another content before.
    const stale = [...this.#known].filter(([, each]) => each === dir).map(([each]) => each);
    for (const each of [digest, ...stale]) {
      this.#known.delete(each);
      await rm(join(this.#dir, each), { force: true });
    }
    await symlink(this.#targetOf(dir), join(this.#dir, digest));
    this.#known.set(digest, dir);
    return dir;
  }

  /** What moves with the links is named by where it is from them. */
  #targetOf(dir: string): string {
    const within = relative(dirname(this.#dir), dir);
    return within.startsWith('..') ? dir : relative(this.#dir, dir);
  }

  /** @throws IsletError 503 if it is not on this machine. */
  dirOf(digest: string): string {
    const dir = this.#known.get(digest);
    if (dir !== undefined) return dir;
    throw rootFileSystemMissing(digest);
  }

  has(digest: string): boolean {
    return this.#known.has(digest);
  }

  /** What is where it was is about to be removed. */
  async forget({ digest, dir }: RootFileSystem): Promise<void> {
    if (this.#known.get(digest) !== dir) return;
    this.#known.delete(digest);
    await rm(join(this.#dir, digest), { force: true });
  }

  /** Undefined if nothing of it is known. */
  digestOf(dir: string): string | undefined {
    return [...this.#known].find(([, each]) => each === dir)?.[0];
  }

  /** The directories of root file systems, and of those that are held. */
  dirs(digests: Iterable<string>): Set<string> {
    const all = [...digests, ...this.#held.keys()];
    return new Set(all.flatMap((digest) => this.#known.get(digest) ?? []));
  }
}

function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
