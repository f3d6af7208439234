import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Exec } from '@islet/host';
import { isThere } from './machine-files.ts';

/** Measured: 7 s for the 880 MB of the base template while others used the disk, too. */
const IMAGE_TIMEOUT_MS = 10 * 60_000;

const TEMPORARY = '.new';

/**
 * Read-only images of directories and empty file systems, made once each. Machines and snapshots hold hard links to them:
 * what is here is a cache, and an image lives as long as anything needs it.
 */
export class ImageCache {
  readonly #dir: string;
  readonly #exec: Exec;
  readonly #making = new Map<string, Promise<string>>();

  private constructor(dir: string, exec: Exec) {
    this.#dir = dir;
    this.#exec = exec;
  }

  /** Opens the cache and drops what an earlier process left half made or nothing links to any more. */
  static async open(dir: string, exec: Exec): Promise<ImageCache> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(dir)) {
      const path = join(dir, name);
      if (name.endsWith(TEMPORARY) || (await stat(path)).nlink === 1) await rm(path);
    }
    return new ImageCache(dir, exec);
  }

  /** An EROFS image of a directory that does not change any more. */
  async ofDirectory(source: string): Promise<string> {
    const { ino, ctimeMs } = await stat(source);
    const name = createHash('sha256').update(`${source}\0${ino}\0${ctimeMs}`).digest('hex').slice(0, 32);
    return this.#once(`${name}.erofs`, async (file) => {
      await this.#exec('mkfs.erofs', ['--quiet', file, source], { timeoutMs: IMAGE_TIMEOUT_MS });
    });
  }

  /** An empty ext4 file system. Without a journal: a machine's disk is only ever read together with its memory. */
  emptyDisk(bytes: number): Promise<string> {
    return this.#once(`${bytes}.ext4`, async (file) => {
      await writeFile(file, '');
      await truncate(file, bytes);
      const features = ['-O', '^has_journal', '-m', '0', '-E', 'lazy_itable_init=1,nodiscard,root_owner=0:0'];
      await this.#exec('mkfs.ext4', ['-q', '-F', ...features, file]);
    });
  }

  async #once(name: string, make: (file: string) => Promise<void>): Promise<string> {
    const file = join(this.#dir, name);
    const underWay = this.#making.get(name);
    if (underWay) return underWay;
    const making = (async () => {
      if (await isThere(file)) return file;
      const temporary = `${file}${TEMPORARY}`;
      await rm(temporary, { force: true });
      await make(temporary);
      // Each VMM reads it as a user of its own.
      await chmod(temporary, 0o444);
      await rename(temporary, file);
      return file;
    })().finally(() => this.#making.delete(name));
    this.#making.set(name, making);
    return making;
  }
}
