import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, AccountFiles } from '../inside/accounts.ts';
import { kindOf } from '../inside/tree.ts';
import { isOpaque } from '../layers/overlay-marks.ts';

// What the host can tell about layers without a sandbox. No link is followed, since it might lead out of them: whatever is unusual
// counts as not known, and a sandbox finds it out.

/** Longest list of users that the host reads, bytes; usual ones have some 1 KiB. */
const LONGEST_PASSWD = 256 * 1024;

/** What a layer has at a path: nothing, so that the layers below show; something; or what hides those in the place of a parent. */
export type Place = 'untouched' | 'there' | 'unusual';

/** @param path relative to the root, with at least one name */
export async function placeIn(layer: string, path: string): Promise<Place> {
  const names = path.split('/');
  let dir = layer;
  for (const name of names.slice(0, -1)) {
    dir = join(dir, name);
    const kind = await kindOf(dir);
    if (kind === 'missing') return 'untouched';
    if (kind !== 'directory' || isOpaque(dir)) return 'unusual';
  }
  // Not by listing the folder: somebody may have put millions of files there.
  return (await kindOf(join(dir, names.at(-1) ?? ''))) === 'missing' ? 'untouched' : 'there';
}

/**
 * A user of the layers; undefined if there is none, or that is not known.
 * @param dirs the lowest first
 */
export async function accountOf(dirs: readonly string[], name: string): Promise<Account | undefined> {
  const layer = await topmost(dirs, 'etc/passwd');
  if (layer === undefined) return undefined;
  const file = await lstat(join(layer, 'etc/passwd'));
  if (!file.isFile() || file.size > LONGEST_PASSWD) return undefined;
  return new AccountFiles(layer).find(name);
}

/**
 * Whether an absolute, normalised path is a folder for sure.
 * @param dirs the lowest first
 */
export async function isFolder(dirs: readonly string[], path: string): Promise<boolean> {
  if (path === '/') return true;
  const relative = path.slice(1);
  const layer = await topmost(dirs, relative);
  return layer !== undefined && (await kindOf(join(layer, relative))) === 'directory';
}

/** The layer that a path shows of; undefined if that is none, or not known. */
async function topmost(dirs: readonly string[], path: string): Promise<string | undefined> {
  for (const layer of [...dirs].reverse()) {
    const place = await placeIn(layer, path);
    if (place !== 'untouched') return place === 'there' ? layer : undefined;
  }
  return undefined;
}
