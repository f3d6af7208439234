import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { IsletError } from '@islet/contracts';
import { assertIntact, DamagedSnapshotError, type FileSums, sumFiles } from '@islet/driver';
import { bytesIn } from '@islet/host';
import { incompatibility, type Runtime, readManifest, writeManifest } from '../snapshots/manifest.ts';
import type { TemplateManifest } from './manifest.ts';

const SNAPSHOT = 'snapshot';

/** A build that sandboxes can start from. */
export interface StoredTemplate {
  manifest: TemplateManifest;
  snapshotDir: string;
}

/** What this node starts builds with. */
export interface StoreHost {
  runtime: Runtime;
  guestDigest: string;
}

/** The node's snapshots, of template builds and of sandboxes: one folder a build, complete or not there at all. */
export class TemplateStore {
  readonly #root: string;
  readonly #host: StoreHost;
  readonly #known = new Map<string, StoredTemplate>();
  /** State of the files (size, time, inode) that were found to be as written, by build. */
  readonly #intact = new Map<string, string>();
  #staged = 0;

  private constructor(root: string, host: StoreHost) {
    this.#root = root;
    this.#host = host;
  }

  static async open(root: string, host: StoreHost): Promise<TemplateStore> {
    const store = new TemplateStore(root, host);
    await mkdir(root, { recursive: true, mode: 0o700 });
    for (const name of await readdir(root)) {
      if (name.startsWith('.')) await rm(join(root, name), { recursive: true, force: true });
      else await store.#load(name);
    }
    return store;
  }

  /** The build to start from. @throws IsletError 404 where the node has no such build. */
  get(buildId: string): StoredTemplate {
    const template = this.#known.get(buildId);
    if (!template) throw new IsletError(404, `build '${buildId}' is not on this node`);
    return template;
  }

  list(): StoredTemplate[] {
    return [...this.#known.values()];
  }

  /** True where the build can start here and its envd is the current one. */
  isCurrent(buildId: string): boolean {
    const manifest = this.#known.get(buildId)?.manifest;
    return (
      manifest !== undefined &&
      incompatibility(manifest, this.#host.runtime) === undefined &&
      manifest.guestDigest === this.#host.guestDigest
    );
  }

  /**
   * Why a build's snapshot cannot be restored here, or undefined where it can. Its files are read and compared with their
   * sums only where they changed since that was last done: what is left of it on the way of a create is a look at their state.
   */
  async obstacle({ manifest, snapshotDir }: StoredTemplate): Promise<string | undefined> {
    const reason = incompatibility(manifest, this.#host.runtime);
    if (reason) return reason;
    const state = await fileState(snapshotDir, manifest.files);
    if (state === this.#intact.get(manifest.buildId)) return undefined;
    try {
      await assertIntact(snapshotDir, manifest.files);
    } catch (error) {
      if (error instanceof DamagedSnapshotError) return `it is damaged: ${error.message}`;
      throw error;
    }
    this.#intact.set(manifest.buildId, state);
    return undefined;
  }

  /** Bytes on disk of a build's snapshot, but for what it shares with the one that it goes back to. */
  bytesOf({ manifest: { parentBuildId = '' }, snapshotDir }: StoredTemplate): Promise<number> {
    const parent = this.#known.get(parentBuildId);
    return bytesIn([snapshotDir], parent ? [parent.snapshotDir] : []);
  }

  /** Guest digests that some snapshot maps. */
  guestDigests(): Set<string> {
    return new Set(this.list().map(({ manifest }) => manifest.guestDigest));
  }

  /** Root file systems that some snapshot goes back to: none of them may be removed. */
  rootfsDirs(): Set<string> {
    return new Set(this.list().map(({ manifest }) => manifest.rootfsDir));
  }

  /** An empty folder for a snapshot that is being made; not listed until `commit`. */
  async stage(): Promise<string> {
    const dir = join(this.#root, `.${process.pid}-${this.#staged++}`);
    await rm(dir, { recursive: true, force: true });
    await mkdir(join(dir, SNAPSHOT), { recursive: true, mode: 0o700 });
    return dir;
  }

  stagedSnapshot(stageDir: string): string {
    return join(stageDir, SNAPSHOT);
  }

  /** Puts a staged snapshot in the place of its build's earlier one, all of it synced to disk before. */
  async commit(
    stageDir: string,
    manifest: Omit<TemplateManifest, 'files' | 'version' | 'createdAt'>,
  ): Promise<StoredTemplate> {
    const files = await sumFiles(join(stageDir, SNAPSHOT), { sync: true });
    const complete: TemplateManifest = {
      ...manifest,
      version: 2,
      createdAt: new Date().toISOString(),
      files,
    };
    await writeManifest(stageDir, complete);
    const { buildId } = manifest;
    const dir = join(this.#root, buildId);
    await rm(dir, { recursive: true, force: true });
    await rename(stageDir, dir);
    const snapshotDir = join(dir, SNAPSHOT);
    const template = { manifest: complete, snapshotDir };
    this.#intact.set(buildId, await fileState(snapshotDir, files));
    this.#known.set(buildId, template);
    return template;
  }

  /** Forgets a build and frees its snapshot. Sandboxes that run need it no more. False where there is none. */
  async remove(buildId: string): Promise<boolean> {
    this.#intact.delete(buildId);
    if (!this.#known.delete(buildId)) return false;
    const doomed = join(this.#root, `.removed-${buildId}`);
    await rename(join(this.#root, buildId), doomed);
    await rm(doomed, { recursive: true, force: true });
    return true;
  }

  async #load(buildId: string): Promise<void> {
    const dir = join(this.#root, buildId);
    const manifest = await readManifest<TemplateManifest>(dir);
    if (manifest) this.#known.set(buildId, { manifest, snapshotDir: join(dir, SNAPSHOT) });
  }
}

async function fileState(dir: string, files: FileSums): Promise<string> {
  const states = Object.keys(files).map(async (name) => {
    const info = await stat(join(dir, name)).catch(() => undefined);
    return info ? `${name} ${info.size} ${info.mtimeMs} ${info.ctimeMs} ${info.ino}` : `${name} missing`;
  });
  return (await Promise.all(states)).join('\n');
}
