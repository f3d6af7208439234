import { execFile } from 'node:child_process';
import { mkdir, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MIB = 1024 * 1024;
/** Some four times what a node takes with a sandbox or two. */
const SIZE_MIB = 2_000;

/** A file system of its own in a file, which others can fill. */
export class SmallDisk {
  readonly mountPoint: string;

  private constructor(mountPoint: string) {
    this.mountPoint = mountPoint;
  }

  /** @param dir where the file and the mount point are made */
  static async make(dir: string): Promise<SmallDisk> {
    const [image, mountPoint] = [join(dir, 'image'), join(dir, 'mounted')];
    await mkdir(mountPoint, { recursive: true });
    await writeFile(image, '');
    await truncate(image, SIZE_MIB * MIB);
    await run('mkfs.ext4', ['-q', image]);
    await run('mount', ['-o', 'loop', image, mountPoint]);
    return new SmallDisk(mountPoint);
  }

  /** Takes what is free of it. */
  async fill(): Promise<void> {
    const { bavail, bsize } = await statfs(this.mountPoint);
    if (bavail > 0) await run('fallocate', ['-l', String(bavail * bsize), this.#filler]);
  }

  async free(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  get #filler(): string {
    return join(this.mountPoint, 'filler');
  }
}
