import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { IsletError } from '@islet/contracts';
import { type HostRuntime, incompatibility, type TemplateManifest } from './manifest.ts';

const MANIFEST = 'manifest.json';
const SNAPSHOT = 'snapshot';

/** A build that sandboxes can start from. */
export interface StoredTemplate {
  manifest: TemplateManifest;
  snapshotDir: string;
}

/** The node's snapshots of template builds: one folder a build, complete or not there at all. */
export class TemplateStore {
  readonly #root: string;
  readonly #host: HostRuntime;
  readonly #known = new Map<string, StoredTemplate>();

  private constructor(root: string, host: HostRuntime) {
    this.#root = root;
    this.#host = host;
  }

  static async open(root: string, host: HostRuntime): Promise<TemplateStore> {
    const store = new TemplateStore(root, host);
    await mkdir(root, { recursive: true, mode: 0o700 });
    for (const name of await readdir(root)) {
      if (name.startsWith('.')) await rm(join(root, name), { recursive: true, force: true });
      else await store.#load(name);
    }
    return store;
  }

  /**
   * The build to start from.
   * @throws IsletError 404 where the node has no such build, 503 where its snapshot was made under another runtime.
   */
  get(buildId: string): StoredTemplate {
    const template = this.#known.get(buildId);
    if (!template) throw new IsletError(404, `build '${buildId}' is not on this node`);
    const reason = incompatibility(template.manifest, this.#host);
    if (reason) {
      throw new IsletError(
        503,
        `Failed to place sandbox: the snapshot of build '${buildId}' cannot start here: ${reason}; build the template again`,
        {
          errorCode: 'sandbox_no_compatible_node',
        },
      );
    }
    return template;
  }

  /** True where the build can start here and its envd is the current one. */
  isCurrent(buildId: string): boolean {
    const manifest = this.#known.get(buildId)?.manifest;
    return (
      manifest !== undefined &&
      incompatibility(manifest, this.#host) === undefined &&
      manifest.guestDigest === this.#host.guestDigest
    );
  }

  /** Guest digests that some snapshot maps. */
  guestDigests(): Set<string> {
    return new Set([...this.#known.values()].map((template) => template.manifest.guestDigest));
  }

  /** An empty folder for a snapshot that is being made; not listed until `commit`. */
  async stage(buildId: string): Promise<string> {
    const dir = join(this.#root, `.${buildId}.${process.pid}`);
    await rm(dir, { recursive: true, force: true });
    await mkdir(join(dir, SNAPSHOT), { recursive: true });
    return dir;
  }

  stagedSnapshot(stageDir: string): string {
    return join(stageDir, SNAPSHOT);
  }

  /** Puts a staged snapshot in the place of its build's earlier one, all of it synced to disk before. */
  async commit(stageDir: string, manifest: Omit<TemplateManifest, 'files'>): Promise<void> {
    const snapshot = join(stageDir, SNAPSHOT);
    const files: Record<string, string> = {};
    for (const name of (await readdir(snapshot)).sort())
      files[name] = await syncAndDigest(join(snapshot, name));
    await writeFile(join(stageDir, MANIFEST), JSON.stringify({ ...manifest, files }, null, 2), {
      flush: true,
    });
    const dir = join(this.#root, manifest.buildId);
    await rm(dir, { recursive: true, force: true });
    await rename(stageDir, dir);
    await this.#load(manifest.buildId);
  }

  async #load(buildId: string): Promise<void> {
    const dir = join(this.#root, buildId);
    try {
      const manifest = JSON.parse(await readFile(join(dir, MANIFEST), 'utf8')) as TemplateManifest;
      if (manifest.version === 1) this.#known.set(buildId, { manifest, snapshotDir: join(dir, SNAPSHOT) });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

async function syncAndDigest(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const handle = await open(file, 'r+');
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}
