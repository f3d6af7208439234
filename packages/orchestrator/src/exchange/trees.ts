import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Exec, exists } from '@islet/host';
import type { ReadableStates, SharedStates, TreeArchive } from '@islet/snapshots';
import { orAborted } from './or-aborted.ts';

/** Packing and unpacking a root file system of some GiB on a slow disk, ms. */
const TAR_TIMEOUT_MS = 900_000;

/** All that a sandbox can see of a file; times to the nanosecond, since a restored gVisor looks at them. */
const WHOLE = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--format=posix'];

type TreeStore = Pick<SharedStates, 'hasTree' | 'putTree'>;

export type TreeKind = 'guests' | 'roots';

export interface TreesOptions {
  exec: Exec;
  /** For archives under way; emptied by whoever opens the node. */
  workDir: string;
}

/** A directory that does not change any more, with a digest that says what is in it. */
export interface Tree {
  kind: TreeKind;
  digest: string;
  dir: string;
}

/** Directories that do not change any more, between this machine and others. */
export class Trees {
  readonly #options: TreesOptions;
  readonly #sending = new Map<string, Promise<void>>();
  readonly #bringing = new Map<string, Promise<boolean>>();

  constructor(options: TreesOptions) {
    this.#options = options;
  }

  /** Puts a directory into the store, unless it is there, or on its way for somebody else. */
  async send(shared: TreeStore, { kind, digest, dir }: Tree, signal: AbortSignal): Promise<void> {
    const name = treeName(kind, digest);
    // What fails for another, or is given up, is sent here.
    for (let other = this.#sending.get(name); other; other = this.#sending.get(name)) {
      await orAborted(
        other.catch(() => undefined),
        signal,
      );
    }
    const sending = this.#send(shared, name, dir, signal).finally(() => this.#sending.delete(name));
    this.#sending.set(name, sending);
    await sending;
  }

  /** Makes a directory as it was sent, once however often it is asked for. False if no source has it. */
  bring(source: Pick<ReadableStates, 'getTree'>, { kind, digest, dir }: Tree): Promise<boolean> {
    const underWay = this.#bringing.get(dir);
    if (underWay) return underWay;
    const bringing = this.#bring(source, treeName(kind, digest), dir).finally(() =>
      this.#bringing.delete(dir),
    );
    this.#bringing.set(dir, bringing);
    return bringing;
  }

  /** Packs a directory into an archive. */
  async pack(dir: string, signal?: AbortSignal): Promise<TreeArchive> {
    const archive = this.#archive();
    const order = ['--sort=name', '--pax-option=delete=atime,delete=ctime'];
    const args = ['--create', `--file=${archive.path}`, ...WHOLE, ...order, `--directory=${dir}`, '.'];
    try {
      await this.#options.exec('tar', args, { timeoutMs: TAR_TIMEOUT_MS, ...(signal && { signal }) });
    } catch (error) {
      await archive[Symbol.asyncDispose]();
      throw error;
    }
    return archive;
  }

  async #send(shared: TreeStore, name: string, dir: string, signal: AbortSignal): Promise<void> {
    if (await shared.hasTree(name, signal)) return;
    await using archive = await this.pack(dir, signal);
    await shared.putTree(name, archive.path, signal);
  }

  async #bring(source: Pick<ReadableStates, 'getTree'>, name: string, dir: string): Promise<boolean> {
    if (await exists(dir)) return true;
    await mkdir(dirname(dir), { recursive: true, mode: 0o700 });
    const unpacked = join(dirname(dir), `.${randomUUID()}`);
    try {
      await using archive = this.#archive();
      if (!(await source.getTree(name, archive.path))) return false;
      await mkdir(unpacked, { mode: 0o755 });
      const args = ['--extract', `--file=${archive.path}`, ...WHOLE, '--same-permissions', '--same-owner'];
      await this.#options.exec('tar', [...args, `--directory=${unpacked}`], { timeoutMs: TAR_TIMEOUT_MS });
      await rename(unpacked, dir);
      return true;
    } finally {
      await rm(unpacked, { recursive: true, force: true });
    }
  }

  /** A name for an archive. */
  #archive(): TreeArchive {
    const path = join(this.#options.workDir, `${randomUUID()}.tar`);
    return { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
  }
}

export function treeName(kind: TreeKind, digest: string): string {
  return `${kind}-${digest}`;
}

/** The opposite of `treeName`; undefined if it is the name of none. */
export function readTreeName(name: string): Pick<Tree, 'kind' | 'digest'> | undefined {
  const [, kind, digest] = /^(guests|roots)-([A-Za-z0-9][A-Za-z0-9._-]*)$/.exec(name) ?? [];
  return kind && digest ? { kind: kind as TreeKind, digest } : undefined;
}
