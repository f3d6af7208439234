import { chmod, chown, mkdir, readdir, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { invalidVolumeId, isUuid, volumeInUse, volumeNotFound, volumeTooSmall } from '@islet/contracts';
import { type Exec, exists, readMounts } from '@islet/host';
import type { Logger } from '@islet/telemetry';
import { KeyedQueue } from '../sandbox/keyed-queue.ts';

export interface VolumeDisksOptions {
  /** Where the images are; kept over restarts. */
  imagesDir: string;
  /** Where they are mounted, one folder a volume. */
  mountsDir: string;
  exec: Exec;
  logger: Logger;
}

/** A mounted disk. */
interface Disk {
  users: number;
  /** Unmounts it where nobody uses it. */
  idle: NodeJS.Timeout | undefined;
}

/** How long a disk that nobody uses stays mounted, for the next of a row of requests, ms. */
const IDLE_MS = 10_000;

/** A killed sandbox is freed behind the answer to its kill, ms. */
const LAST_USERS_MS = 10_000;
const LAST_USERS_POLL_MS = 25;

/** Programs of all users of all sandboxes may write to a volume's root. */
const ROOT_MODE = 0o777;
const ROOT_OWNER = 1000;

/** What ext4 needs for itself leaves nothing of less. */
const MIN_SIZE_MB = 4;

/** Ends the name of an image that is not finished. */
const DRAFT = '.new';

/**
 * The disks of volumes: each an ext4 file system in a sparse file, since its size is a bound that the kernel keeps, whoever
 * writes. They are mounted while somebody uses them.
 */
export class VolumeDisks {
  readonly #options: VolumeDisksOptions;
  readonly #disks = new Map<string, Disk>();
  readonly #queue = new KeyedQueue();

  constructor(options: VolumeDisksOptions) {
    this.#options = options;
  }

  /** Takes over what an earlier process left mounted, and removes images that it did not finish. */
  async recover(): Promise<void> {
    const { imagesDir, mountsDir } = this.#options;
    await mkdir(imagesDir, { recursive: true, mode: 0o700 });
    await mkdir(mountsDir, { recursive: true, mode: 0o700 });
    const mounted = new Set((await readMounts(mountsDir)).map(({ point }) => point));
    const images = new Set(await readdir(imagesDir));
    for (const volumeId of await readdir(mountsDir)) {
      if (!mounted.has(this.#dir(volumeId))) await rmdir(this.#dir(volumeId));
      else if (!images.has(basename(this.#image(volumeId)))) await this.#unmount(volumeId);
      else this.#disks.set(volumeId, { users: 0, idle: this.#closeWhenIdle(volumeId) });
    }
    for (const name of images) if (name.endsWith(DRAFT)) await rm(join(imagesDir, name));
  }

  /** Makes an empty disk; one that is there stays as it is. @throws IsletError 400 */
  create(volumeId: string, sizeMb: number): Promise<void> {
    if (!isUuid(volumeId)) throw invalidVolumeId();
    if (sizeMb < MIN_SIZE_MB) throw volumeTooSmall(MIN_SIZE_MB);
    return this.#queue.run(volumeId, async () => {
      if (await exists(this.#image(volumeId))) return;
      const draft = `${this.#image(volumeId)}${DRAFT}`;
      try {
        await writeFile(draft, '', { mode: 0o600 });
        await truncate(draft, sizeMb * 1024 * 1024);
        await this.#options.exec('mkfs.ext4', ['-q', '-F', '-m', '0', draft]);
        const dir = await this.#mount(volumeId, draft);
        await chown(dir, ROOT_OWNER, ROOT_OWNER);
        await chmod(dir, ROOT_MODE);
        await rmdir(join(dir, 'lost+found'));
        await this.#unmount(volumeId);
        await rename(draft, this.#image(volumeId));
      } catch (error) {
        await this.#unmount(volumeId).catch(() => undefined);
        await rm(draft, { force: true });
        throw error;
      }
    });
  }

  /** Removes a disk and all it holds, once its last users are gone. @throws IsletError 409 if they do not go */
  async remove(volumeId: string): Promise<void> {
    if (!isUuid(volumeId)) throw invalidVolumeId();
    const deadline = performance.now() + LAST_USERS_MS;
    while (!(await this.#removeUnused(volumeId))) {
      if (performance.now() > deadline) throw volumeInUse();
      await sleep(LAST_USERS_POLL_MS);
    }
  }

  #removeUnused(volumeId: string): Promise<boolean> {
    return this.#queue.run(volumeId, async () => {
      if ((this.#disks.get(volumeId)?.users ?? 0) > 0) return false;
      await this.#close(volumeId);
      await rm(this.#image(volumeId), { force: true });
      return true;
    });
  }

  /** Mounts a disk for a user, who calls `release` once for it. Gives the directory. @throws IsletError 404 there is none */
  acquire(volumeId: string): Promise<string> {
    return this.#queue.run(volumeId, async () => {
      let disk = this.#disks.get(volumeId);
      if (!disk) {
        if (!isUuid(volumeId) || !(await exists(this.#image(volumeId)))) {
          throw volumeNotFound();
        }
        await this.#mount(volumeId, this.#image(volumeId));
        disk = { users: 0, idle: undefined };
        this.#disks.set(volumeId, disk);
      }
      clearTimeout(disk.idle);
      disk.users++;
      return this.#dir(volumeId);
    });
  }

  release(volumeId: string): void {
    const disk = this.#disks.get(volumeId);
    if (!disk) return;
    disk.users--;
    if (disk.users === 0) disk.idle = this.#closeWhenIdle(volumeId);
  }

  /** Unmounts all of them; nobody may use one any more. */
  async close(): Promise<void> {
    for (const volumeId of this.#disks.keys()) await this.#queue.run(volumeId, () => this.#close(volumeId));
  }

  #closeWhenIdle(volumeId: string): NodeJS.Timeout {
    const close = () =>
      this.#queue
        .run(volumeId, async () => {
          if (this.#disks.get(volumeId)?.users === 0) await this.#close(volumeId);
        })
        .catch((error) => this.#options.logger.error({ err: error, volumeId }, 'a volume stays mounted'));
    return setTimeout(close, IDLE_MS).unref();
  }

  async #close(volumeId: string): Promise<void> {
    const disk = this.#disks.get(volumeId);
    if (!disk) return;
    clearTimeout(disk.idle);
    await this.#unmount(volumeId);
    this.#disks.delete(volumeId);
  }

  async #mount(volumeId: string, image: string): Promise<string> {
    const dir = this.#dir(volumeId);
    await mkdir(dir, { recursive: true });
    // What sandboxes delete is given back to the host (discard).
    await this.#options.exec('mount', ['-t', 'ext4', '-o', 'loop,nosuid,nodev,discard', image, dir]);
    return dir;
  }

  /** Never lazily: a file system that is mounted twice destroys itself. */
  async #unmount(volumeId: string): Promise<void> {
    await this.#options.exec('umount', [this.#dir(volumeId)]);
    await rmdir(this.#dir(volumeId));
  }

  #image(volumeId: string): string {
    return join(this.#options.imagesDir, `${volumeId}.img`);
  }

  #dir(volumeId: string): string {
    return join(this.#options.mountsDir, volumeId);
  }
}
