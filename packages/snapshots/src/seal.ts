import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileSums, sumFiles } from '@islet/driver';
import { parseManifest, type SnapshotFacts, type SnapshotManifest, snapshotDigest } from './manifest.ts';
import type { PutOptions, StoredSnapshot } from './snapshot-store.ts';

export const MANIFEST = 'manifest.json';

/** A manifest that is being written. */
const UNFINISHED = `${MANIFEST}.new`;

export interface SealedSnapshot extends StoredSnapshot {
  /** False if it was sealed before. */
  isNew: boolean;
}

/**
 * Sums the files of a folder and puts their manifest beside them. A folder that is sealed is left as it is: what happened to its
 * files since is found when the state is opened.
 */
export async function sealSnapshot(
  dir: string,
  facts: SnapshotFacts,
  { sync }: PutOptions,
): Promise<SealedSnapshot> {
  const sealed = await readSealed(dir);
  if (sealed) return { ...sealed, isNew: false };
  // What a process that was killed, or an earlier version, left of a manifest is replaced by this one.
  const { [UNFINISHED]: _unfinished, [MANIFEST]: _earlier, ...files } = await sumFiles(dir, { sync });
  return { ...(await writeManifest(dir, facts, files)), isNew: true };
}

/** Seals a folder whose files were summed before, and are not read for it. */
export async function sealWithSums(dir: string, facts: SnapshotFacts, sums: FileSums): Promise<void> {
  if (!(await readSealed(dir))) await writeManifest(dir, facts, sums);
}

/** The state that a folder holds, all of it as far as the process came that sealed it. Undefined if it is not sealed. */
export async function readSealed(dir: string): Promise<StoredSnapshot | undefined> {
  const text = await readManifestText(dir);
  const manifest = text === undefined ? undefined : parseManifest(text);
  return text === undefined || !manifest ? undefined : { digest: snapshotDigest(text), manifest };
}

/** Undefined if there is none. */
export async function readManifestText(dir: string): Promise<string | undefined> {
  try {
    return await readFile(join(dir, MANIFEST), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** An earlier manifest is replaced at once. */
async function writeManifest(dir: string, facts: SnapshotFacts, files: FileSums): Promise<StoredSnapshot> {
  const manifest: SnapshotManifest = { version: 3, ...facts, files };
  const text = JSON.stringify(manifest, null, 2);
  const unfinished = join(dir, UNFINISHED);
  await writeFile(unfinished, text, { flush: true, mode: 0o600 });
  await rename(unfinished, join(dir, MANIFEST));
  return { digest: snapshotDigest(text), manifest };
}
