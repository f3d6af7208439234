import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { isUuid } from '@islet/contracts';
import type { ArtifactKey, ArtifactStore, PruneResult } from './artifacts.ts';
import type { UploadSignatures } from './signatures.ts';

const HASH = /^[0-9a-f]{64}$/;
const INCOMING = 'incoming';
/** An upload that was not written to for so long broke off with its process. */
const BROKEN_OFF_MS = 3_600_000;

export interface DirectoryArtifactsOptions {
  /** Made where it is missing; several processes may share it. */
  directory: string;
  signatures: UploadSignatures;
}

/** Archives as files: `<team>/<hash>`; what is still being written lies in a folder beside them. */
export function createDirectoryArtifacts({
  directory,
  signatures,
}: DirectoryArtifactsOptions): ArtifactStore {
  const pathOf = ({ teamId, hash }: ArtifactKey): string => {
    if (!isUuid(teamId) || !HASH.test(hash)) throw new TypeError('not the key of an archive');
    return join(directory, teamId.toLowerCase(), hash);
  };

  return {
    async has(key) {
      return touch(pathOf(key));
    },
    async put(key, content, accept) {
      const path = pathOf(key);
      const incoming = join(directory, INCOMING, crypto.randomUUID());
      const folders = [dirname(incoming), dirname(path)];
      await Promise.all(folders.map((each) => mkdir(each, { recursive: true, mode: 0o700 })));
      try {
        await writeSynced(incoming, content);
        await accept?.(incoming);
        await rename(incoming, path);
        await syncDirectory(dirname(path));
      } catch (error) {
        await rm(incoming, { force: true });
        throw error;
      }
    },
    async open(key) {
      const path = pathOf(key);
      return (await touch(path)) ? openFile(path) : undefined;
    },
    async delete(key) {
      await rm(pathOf(key), { force: true });
    },
    async sign(grant, origin) {
      return new URL(signatures.address(grant), origin).href;
    },
    async bytesOf(teamId) {
      if (!isUuid(teamId)) throw new TypeError("not a team's id");
      return bytesIn(join(directory, teamId.toLowerCase()));
    },
    prune: (unusedSinceMs) => prune(directory, unusedSinceMs),
  };
}

/** Marks a file as used now; false if there is none. */
async function touch(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false;
      throw error;
    },
  );
}

/** The file is open when this returns: from then on its name may go. */
async function openFile(path: string): Promise<Readable | undefined> {
  try {
    const file = await open(path);
    return createReadStream('', { fd: file });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function writeSynced(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  await using file: FileHandle = await open(path, 'wx', 0o600);
  for await (const chunk of content) await file.writeFile(chunk);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}

async function prune(directory: string, unusedSinceMs: number): Promise<PruneResult> {
  const result: PruneResult = { archives: 0, bytes: 0 };
  const brokenOff = Date.now() - BROKEN_OFF_MS;
  for (const folder of await list(directory)) {
    const oldest = folder === INCOMING ? brokenOff : unusedSinceMs;
    for (const name of await list(join(directory, folder))) {
      const path = join(directory, folder, name);
      const file = await stat(path).catch(() => undefined);
      if (!file || file.mtimeMs >= oldest) continue;
      await rm(path, { force: true });
      if (folder === INCOMING) continue;
      result.archives++;
      result.bytes += file.size;
    }
  }
  return result;
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  // One may go meanwhile.
  for (const name of await list(folder)) {
    bytes += (await stat(join(folder, name)).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

async function list(path: string): Promise<string[]> {
  return readdir(path).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
