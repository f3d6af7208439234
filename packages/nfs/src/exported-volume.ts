import { type BigIntStats, closeSync, constants, fstat, openSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { SystemError } from '@islet/posix-spawn';
import { HANDLE_BYTES, type KernelFiles, pathOf } from './kernel-files.ts';
import { NfsError } from './status.ts';

const ID_BYTES = 16;

/** Of the handles that clients get: the volume's id and the kernel's handle. */
export const FILE_HANDLE_BYTES = ID_BYTES + HANDLE_BYTES;

const MAX_NAME_BYTES = 255;

const stats = promisify(fstat);

/** A volume as one machine is served it. */
export class ExportedVolume {
  readonly id: Buffer;
  /** Tells it from others, to a client that is served several. */
  readonly fsid: bigint;
  readonly files: KernelFiles;
  readonly #mount: number;
  readonly #root: Buffer;

  /** @param dir where it is mounted, until `close` */
  constructor(volumeId: string, dir: string, files: KernelFiles) {
    this.id = volumeIdBytes(volumeId);
    this.fsid = this.id.readBigUInt64BE();
    this.files = files;
    this.#mount = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#root = files.handleOf(this.#mount);
  }

  /** The handle of its root. */
  get root(): Buffer {
    return this.#handle(this.#root);
  }

  isRoot(inode: Inode): boolean {
    return inode.handle.equals(this.root);
  }

  /** Opens a file that a client names; `Inode.close` ends it. @throws NfsError EBADHANDLE; SystemError ESTALE if it is gone */
  open(handle: Buffer): Inode {
    if (handle.length !== FILE_HANDLE_BYTES || !handle.subarray(0, ID_BYTES).equals(this.id))
      throw new NfsError('EBADHANDLE', 'it is of no volume of this machine');
    return new Inode(this, handle, this.files.openHandle(this.#mount, handle.subarray(ID_BYTES)));
  }

  /** Handle and attributes of a directory's entry. @throws SystemError ENOENT */
  async entry(directory: Inode, name: Buffer): Promise<{ handle: Buffer; stats: BigIntStats }> {
    const handle = this.#handle(this.files.handleOf(directory.descriptor, name));
    const inode = this.#openFound(handle);
    try {
      return { handle, stats: await inode.stats() };
    } finally {
      inode.close();
    }
  }

  /** @throws NfsError ENOENT if it was removed meanwhile */
  #openFound(handle: Buffer): Inode {
    try {
      return this.open(handle);
    } catch (error) {
      if ((error as SystemError).code !== 'ESTALE') throw error;
      throw new NfsError('ENOENT', 'it is gone');
    }
  }

  close(): void {
    closeSync(this.#mount);
  }

  #handle(kernelHandle: Buffer): Buffer {
    return Buffer.concat([this.id, kernelHandle]);
  }
}

/** A file, directory or link of a volume, held open so that it stays what it is while it is worked on. */
export class Inode {
  readonly volume: ExportedVolume;
  readonly handle: Buffer;
  readonly descriptor: number;

  constructor(volume: ExportedVolume, handle: Buffer, descriptor: number) {
    this.volume = volume;
    this.handle = handle;
    this.descriptor = descriptor;
  }

  /** For calls that take a path, and lead to this very file. */
  get path(): string {
    return pathOf(this.descriptor);
  }

  /** Of an entry in this directory. The name is checked: see `checkedName`. */
  pathTo(name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`${this.path}/`), name]);
  }

  stats(): Promise<BigIntStats> {
    return stats(this.descriptor, { bigint: true });
  }

  /** Of an entry in this directory, not of what a link points to. */
  statsOf(name: Buffer): Promise<BigIntStats> {
    return lstat(this.pathTo(name), { bigint: true });
  }

  close(): void {
    this.volume.files.close(this.descriptor);
  }
}

/**
 * A name that leads to an entry of a directory and nowhere else.
 * @throws NfsError EINVAL, ENAMETOOLONG
 */
export function checkedName(name: Buffer): Buffer {
  if (name.length > MAX_NAME_BYTES) throw new NfsError('ENAMETOOLONG', `${name.length} bytes`);
  const text = name.toString('latin1');
  if (text === '' || text === '.' || text === '..' || /[/\0]/.test(text))
    throw new NfsError('EINVAL', 'it is no name of an entry');
  return name;
}

/** @throws RangeError if it is no UUID */
export function volumeIdBytes(volumeId: string): Buffer {
  const bytes = Buffer.from(volumeId.replaceAll('-', ''), 'hex');
  if (bytes.length !== ID_BYTES) throw new RangeError(`'${volumeId}' is no volume's id`);
  return bytes;
}
