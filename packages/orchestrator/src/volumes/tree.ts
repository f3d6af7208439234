import { close as closeCallback, constants, fstat as fstatCallback, type Stats } from 'node:fs';
import { chmod, chown, lstat, mkdir, open, opendir, readlink, rmdir, unlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import {
  IsletError,
  pathExists,
  pathIsNoDirectory,
  pathIsNoFile,
  rootNotRemovable,
  tooDeepToRemove,
  tooMuchToList,
} from '@islet/contracts';
import type { OpenBeneath } from '@islet/host';
import { asVolumeError, hasCode } from './errors.ts';
import type { VolumePath } from './path.ts';

/** What is undefined stays as it is, or takes the default of a new entry. */
export interface Attributes {
  uid?: number | undefined;
  gid?: number | undefined;
  /** Permission bits. */
  mode?: number | undefined;
}

export interface Entry {
  path: VolumePath;
  stats: Stats;
  /** Of a symbolic link: what is written in it. */
  target: string | undefined;
}

/** A file open for writing. Whoever opened it closes it. */
export interface WrittenFile {
  descriptor: number;
  /** False if it was there before. */
  made: boolean;
}

/** Owner of what clients make without naming one: the account `user` of Islet's templates, whose programs may then change it. */
const DEFAULT_OWNER = 1000;
const DEFAULT_DIRECTORY_MODE = 0o755;
const DEFAULT_FILE_MODE = 0o644;

/** Most entries of one listing, and bytes of their paths: the answer is one document. */
const MAX_LISTED = 100_000;
const MAX_LISTED_BYTES = 16 * 1024 * 1024;
/** Entries that are looked at together: more would keep all else waiting that waits for disks. */
const LOOKED_AT_ONCE = 16;
/** Removing holds a descriptor a level. */
const MAX_REMOVED_DEPTH = 256;

const O_PATH = 0o10000000;
const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

/** Names as they are on the disk; Node's types know of texts alone. */
const BYTES = { encoding: 'buffer' as BufferEncoding };

const close = promisify(closeCallback);
const fstat = promisify(fstatCallback);

/** Stands for an open descriptor's file in calls that take a path: it leads to that very file, whatever was renamed since. */
const at = (descriptor: number, name?: string) =>
  `/proc/self/fd/${descriptor}${name === undefined ? '' : `/${name}`}`;

/**
 * The files of one volume. Sandboxes change them at any moment, so nothing is checked by path and used by path later: every
 * call opens what it works on beneath the root, and goes on with the descriptor. Links are followed on the way to an entry as
 * long as they stay inside; the entry itself is never followed but to read and write its content.
 */
export class VolumeTree {
  readonly #rootDir: string;
  readonly #open: OpenBeneath;

  constructor(rootDir: string, openBeneath: OpenBeneath) {
    this.#rootDir = rootDir;
    this.#open = openBeneath;
  }

  /** @throws IsletError 404 */
  stat(path: VolumePath): Promise<Entry> {
    return this.#inDirectory(path.parent, path, (parent) => describe(parent, path));
  }

  /**
   * What a directory holds, `depth` levels of it; a directory comes before what is in it.
   * @throws IsletError 404; 400 no directory, or too many entries
   */
  async list(path: VolumePath, depth: number): Promise<Entry[]> {
    const entries: Entry[] = [];
    const room: Room = { entries: MAX_LISTED, bytes: MAX_LISTED_BYTES };
    const visit = async (directory: VolumePath, levels: number): Promise<void> => {
      for (const entry of await this.#children(directory, room)) {
        entries.push(entry);
        // What is removed or replaced meanwhile is only missing from the list.
        if (levels > 1 && entry.stats.isDirectory()) await visit(entry.path, levels - 1).catch(unlessGone);
      }
    };
    await visit(path, depth).catch((error) => {
      const cause = (error as Error).cause;
      if (!hasCode(cause, 'ENOTDIR')) throw error;
      throw pathIsNoDirectory(`${path}`, cause);
    });
    return entries;
  }

  /**
   * `force`: also makes missing directories above it, and takes one that is there already.
   * @throws IsletError 404 a directory above it is missing; 409 it exists; 507
   */
  async makeDirectory(path: VolumePath, attributes: Attributes, force: boolean): Promise<Entry> {
    if (force) await this.#makeParents(path);
    return this.#inDirectory(path.parent, path, async (parent) => {
      const made = !path.isRoot && (await this.#makeOne(parent, path.name, attributes));
      const entry = await describe(parent, path);
      if (made || (force && entry.stats.isDirectory())) return entry;
      throw pathExists(`${path}`);
    });
  }

  /** @throws IsletError 404; 400 a mode for a link */
  async setAttributes(path: VolumePath, attributes: Attributes): Promise<Entry> {
    await this.#opened(path, O_PATH | O_NOFOLLOW, (descriptor) => apply(descriptor, attributes));
    return this.stat(path);
  }

  /** Removes an entry and all below it. @throws IsletError 404; 400 the root, or too many levels */
  async remove(path: VolumePath): Promise<void> {
    if (path.isRoot) throw rootNotRemovable();
    await this.#inDirectory(path.parent, path, (parent) =>
      this.#removeTree(parent, Buffer.from(path.name), 0),
    );
  }

  /** A descriptor to read a file from; the caller closes it. @throws IsletError 404; 400 no regular file */
  openToRead(path: VolumePath): Promise<number> {
    // Without waiting for whoever might write to a pipe.
    return this.#openFile(path, O_RDONLY | O_NONBLOCK);
  }

  /**
   * Makes a file, or empties one that is there where `overwrite` is set: programs that hold it open go on with the same file.
   * @throws IsletError 404 a directory above it is missing; 409 it exists; 400 no regular file; 507
   */
  async openToWrite(
    path: VolumePath,
    attributes: Attributes,
    { overwrite, makeParents }: { overwrite: boolean; makeParents: boolean },
  ): Promise<WrittenFile> {
    if (makeParents) await this.#makeParents(path);
    const flags = O_WRONLY | O_NONBLOCK | O_CREAT;
    try {
      const descriptor = await this.#openFile(path, flags | O_EXCL, DEFAULT_FILE_MODE);
      await apply(descriptor, withDefaults(attributes, DEFAULT_FILE_MODE));
      return { descriptor, made: true };
    } catch (error) {
      if (!overwrite || !(error instanceof IsletError) || error.status !== 409) throw error;
    }
    const descriptor = await this.#openFile(path, flags | O_TRUNC, DEFAULT_FILE_MODE);
    await apply(descriptor, attributes);
    return { descriptor, made: false };
  }

  /** The entries of one directory, by name, for which there has to be room. Nobody could ask for a name that is not UTF-8: it is left out. */
  #children(directory: VolumePath, room: Room): Promise<Entry[]> {
    return this.#inDirectory(directory, directory, async (descriptor) => {
      const prefix = Buffer.byteLength(String(directory)) + 1;
      const names: string[] = [];
      for await (const { name } of await opendir(at(descriptor))) {
        names.push(name);
        room.entries--;
        room.bytes -= prefix + Buffer.byteLength(name);
        if (room.entries < 0 || room.bytes < 0) throw tooMany();
      }
      names.sort();
      const found: Entry[] = [];
      for (let first = 0; first < names.length; first += LOOKED_AT_ONCE) {
        const some = names
          .slice(first, first + LOOKED_AT_ONCE)
          .map((name) => describe(descriptor, directory.child(name)).catch(unlessGone));
        for (const entry of await Promise.all(some)) if (entry) found.push(entry);
      }
      return found;
    });
  }

  async #makeParents(path: VolumePath): Promise<void> {
    for (const directory of path.ancestors()) {
      await this.#inDirectory(directory.parent, path, (parent) => this.#makeOne(parent, directory.name, {}));
    }
  }

  /** False if there is something of this name. */
  async #makeOne(parent: number, name: string, attributes: Attributes): Promise<boolean> {
    try {
      await mkdir(at(parent, name));
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false;
      throw error;
    }
    const flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
    const descriptor = this.#open(parent, name, { flags, followLinks: false });
    try {
      await apply(descriptor, withDefaults(attributes, DEFAULT_DIRECTORY_MODE));
    } finally {
      await close(descriptor);
    }
    return true;
  }

  /** Names may be any bytes. */
  async #removeTree(parent: number, name: Buffer, depth: number): Promise<void> {
    const place = Buffer.concat([Buffer.from(at(parent, '')), name]);
    try {
      return await unlink(place);
    } catch (error) {
      if (!hasCode(error, 'EISDIR')) throw error;
    }
    if (depth === MAX_REMOVED_DEPTH) {
      throw tooDeepToRemove(MAX_REMOVED_DEPTH);
    }
    const flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
    const directory = this.#open(parent, name, { flags, followLinks: false });
    try {
      for await (const child of await opendir(at(directory), BYTES)) {
        await this.#removeTree(directory, child.name as unknown as Buffer, depth + 1).catch(unlessGone);
      }
    } finally {
      await close(directory);
    }
    await rmdir(place);
  }

  async #openFile(path: VolumePath, flags: number, mode?: number): Promise<number> {
    const descriptor = await this.#fromRoot(path, (root) =>
      this.#open(root, path.relative, { flags, followLinks: true, ...(mode === undefined ? {} : { mode }) }),
    );
    const isFile = await fstat(descriptor).then(
      (stats) => stats.isFile(),
      () => false,
    );
    if (isFile) return descriptor;
    await close(descriptor);
    throw pathIsNoFile(`${path}`);
  }

  /** Runs `work` with a directory open. `about` is the path that errors name. */
  #inDirectory<T>(
    directory: VolumePath,
    about: VolumePath,
    work: (descriptor: number) => Promise<T>,
  ): Promise<T> {
    return this.#opened(directory, O_PATH | O_DIRECTORY, work, about);
  }

  async #opened<T>(
    path: VolumePath,
    flags: number,
    work: (descriptor: number) => Promise<T>,
    about = path,
  ): Promise<T> {
    return this.#fromRoot(about, async (root) => {
      const descriptor = this.#open(root, path.relative, { flags, followLinks: true });
      try {
        return await work(descriptor);
      } finally {
        await close(descriptor);
      }
    });
  }

  async #fromRoot<T>(about: VolumePath, work: (root: number) => T | Promise<T>): Promise<T> {
    const root = await open(this.#rootDir, O_PATH | O_DIRECTORY);
    try {
      return await work(root.fd);
    } catch (error) {
      throw asVolumeError(error, about);
    } finally {
      await root.close();
    }
  }
}

/** What may still be listed. */
interface Room {
  entries: number;
  bytes: number;
}

function tooMany(): IsletError {
  const most = `${MAX_LISTED} entries, or ${MAX_LISTED_BYTES} bytes of their paths`;
  return tooMuchToList(most);
}

/** The entry of this name in an open directory, not what it may point to. */
async function describe(parent: number, path: VolumePath): Promise<Entry> {
  const place = at(parent, path.isRoot ? '.' : path.name);
  const stats = await lstat(place);
  const target = stats.isSymbolicLink() ? await readlink(place) : undefined;
  return { path, stats, target };
}

function withDefaults(attributes: Attributes, mode: number): Attributes {
  const { uid = DEFAULT_OWNER, gid = DEFAULT_OWNER } = attributes;
  return { uid, gid, mode: attributes.mode ?? mode };
}

/** The mode comes last: a change of the owner takes set-user-ID bits away. */
async function apply(descriptor: number, { uid, gid, mode }: Attributes): Promise<void> {
  const KEEP = -1;
  if (uid !== undefined || gid !== undefined) await chown(at(descriptor), uid ?? KEEP, gid ?? KEEP);
  if (mode !== undefined) await chmod(at(descriptor), mode);
}

/** For entries that somebody else removed or replaced under the call. */
function unlessGone(error: unknown): undefined {
  if (error instanceof IsletError && error.status === 404) return undefined;
  if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
  throw error;
}
