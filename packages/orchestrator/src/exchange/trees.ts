import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Exec, exists } from '@islet/host';
import type { SharedStates } from '@islet/snapshots';

/** Packing and unpacking a root file system of some GiB on a slow disk, ms. */
const TAR_TIMEOUT_MS = 900_000;

/** All that a sandbox can see of a file; times to the nanosecond, since a restored gVisor looks at them. */
const WHOLE = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--format=posix'];

export type TreeKind = 'guests' | 'roots';

export interface TreesOptions {
  shared: SharedStates;
  exec: Exec;
  /** For archives under way; emptied by whoever opens the node. */
  workDir: string;
}

/** Directories that do not change any more, between this machine and the store; each has a digest that says what is in it. */
export class Trees {
  readonly #options: TreesOptions;
  readonly #bringing = new Map<string, Promise<boolean>>();

  constructor(options: TreesOptions) {
    this.#options = options;
  }

  /** Puts a directory into the store, unless it is there. */
  async send(kind: TreeKind, digest: string, dir: string, signal: AbortSignal): Promise<void> {
    const { shared, exec } = this.#options;
    const name = treeName(kind, digest);
    if (await shared.hasTree(name, signal)) return;
    await this.#withArchive(async (archive) => {
      const order = ['--sort=name', '--pax-option=delete=atime,delete=ctime'];
      const args = ['--create', `--file=${archive}`, ...WHOLE, ...order, `--directory=${dir}`, '.'];
      await exec('tar', args, { timeoutMs: TAR_TIMEOUT_MS, signal });
      await shared.putTree(name, archive, signal);
    });
  }

  /** Makes a directory as it was sent, once however often it is asked for. False if the store does not have it. */
  bring(kind: TreeKind, digest: string, dir: string): Promise<boolean> {
    const underWay = this.#bringing.get(dir);
    if (underWay) return underWay;
    const bringing = this.#bring(treeName(kind, digest), dir).finally(() => this.#bringing.delete(dir));
    this.#bringing.set(dir, bringing);
    return bringing;
  }

  async #bring(name: string, dir: string): Promise<boolean> {
    const { shared, exec } = this.#options;
    if (await exists(dir)) return true;
    await mkdir(dirname(dir), { recursive: true, mode: 0o700 });
    const unpacked = join(dirname(dir), `.${randomUUID()}`);
    try {
      return await this.#withArchive(async (archive) => {
        if (!(await shared.getTree(name, archive))) return false;
        await mkdir(unpacked, { mode: 0o755 });
        const args = ['--extract', `--file=${archive}`, ...WHOLE, '--same-permissions', '--same-owner'];
        await exec('tar', [...args, `--directory=${unpacked}`], { timeoutMs: TAR_TIMEOUT_MS });
        await rename(unpacked, dir);
        return true;
      });
    } finally {
      await rm(unpacked, { recursive: true, force: true });
    }
  }

  async #withArchive<T>(use: (archive: string) => Promise<T>): Promise<T> {
    const archive = join(this.#options.workDir, `${randomUUID()}.tar`);
    try {
      return await use(archive);
    } finally {
      await rm(archive, { force: true });
    }
  }
}

export function treeName(kind: TreeKind, digest: string): string {
  return `${kind}-${digest}`;
}
