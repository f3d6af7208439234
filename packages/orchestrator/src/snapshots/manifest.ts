import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileSums, SandboxDriver } from '@islet/driver';

/** What all that starts from a snapshot has to be the same as when it was taken. */
export interface SnapshotOrigin {
  runtime: Runtime;
  /** Digest of the node and envd files that the snapshot's memory maps. */
  guestDigest: string;
  /** The root file system that it was started over; the snapshot holds only what changed. */
  rootfsDir: string;
  /** The build that it goes back to; absent where it was booted from its root file system. */
  parentBuildId?: string;
}

/** Names a sandbox runtime's build: a snapshot restores only under the one that wrote it. */
export interface Runtime {
  name: SandboxDriver['name'];
  digest: string;
}

/** Lies beside a snapshot's files. */
export interface SnapshotManifest extends SnapshotOrigin {
  version: 2;
  createdAt: string;
  files: FileSums;
}

const MANIFEST = 'manifest.json';
/** A manifest that is being written. */
const UNFINISHED = `${MANIFEST}.new`;

/** Why a snapshot cannot start under a runtime, or undefined where it can. */
export function incompatibility(origin: SnapshotOrigin, runtime: Runtime): string | undefined {
  if (origin.runtime.name !== runtime.name) {
    return `it was made with the ${origin.runtime.name} driver and this node runs ${runtime.name}`;
  }
  if (origin.runtime.digest !== runtime.digest)
    return 'it was made with another build of the sandbox runtime';
  return undefined;
}

/** Writes a manifest into a folder, on disk when this returns; an earlier one is replaced at once. */
export async function writeManifest(dir: string, manifest: SnapshotManifest): Promise<void> {
  const unfinished = join(dir, UNFINISHED);
  await writeFile(unfinished, JSON.stringify(manifest, null, 2), { flush: true, mode: 0o600 });
  await rename(unfinished, join(dir, MANIFEST));
}

/** Removes what a process that was killed had written of one: it is none of the snapshot's files. */
export async function removeUnfinishedManifest(dir: string): Promise<void> {
  await rm(join(dir, UNFINISHED), { force: true });
}

/** Undefined where the folder holds none that this Islet reads. */
export async function readManifest<T extends SnapshotManifest>(dir: string): Promise<T | undefined> {
  try {
    const manifest = JSON.parse(await readFile(join(dir, MANIFEST), 'utf8')) as T;
    return manifest.version === 2 ? manifest : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
