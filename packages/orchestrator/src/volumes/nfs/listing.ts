import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import type { Inode } from './exported-volume.ts';
import { assertDirectory } from './names.ts';
import { assertPermits, May } from './permissions.ts';
import { attributesNow, type Work } from './procedure.ts';
import type { XdrWriter } from './xdr.ts';

/** An entry of a directory, and the number with which a listing goes on behind it. */
interface ListedName {
  name: Buffer;
  cookie: bigint;
}

interface Listing {
  /** When the directory had last changed. */
  changedNs: bigint;
  names: readonly ListedName[];
}

const VERIFIER = Buffer.alloc(8);

/** The two that every directory has. */
const OWN_COOKIE = 1n;
const PARENT_COOKIE = 2n;

/** Most entries, and bytes, of one answer. */
const MOST_ENTRIES = 512;
const MAX_BYTES = 64 * 1024;
/** Of an entry, beside its name; and of what stands around them, with the two own ones. */
const ENTRY_BYTES = 28;
const FRAME_BYTES = 256;

/** Listings that are kept while clients go through them. */
const KEPT = 8;

/**
 * Lists directories. A listing goes on by cookies made from the names themselves, in whose order they are given: what is made or removed
 * meanwhile, or a restart, neither hides nor repeats any of the others, and nobody keeps anything for a client.
 */
export function createListings(): Work {
  const kept = new Map<string, Listing>();

  const namesOf = async (directory: Inode, changedNs: bigint): Promise<readonly ListedName[]> => {
    const key = directory.handle.toString('hex');
    const known = kept.get(key);
    if (known?.changedNs === changedNs) return known.names;
    const names = (await readdir(directory.path, { encoding: 'buffer' }))
      .map((name) => ({ name, cookie: cookieOf(name) }))
      .sort((a, b) => (a.cookie < b.cookie ? -1 : 1));
    kept.delete(key);
    kept.set(key, { changedNs, names });
    for (const oldest of kept.keys()) {
      if (kept.size <= KEPT) break;
      kept.delete(oldest);
    }
    return names;
  };

  return async ({ args, caller, inode }) => {
    const directory = inode();
    const cookie = args.u64();
    args.fixed(VERIFIER.length); // listings go on whatever changes
    const room = Math.min(args.u32(), MAX_BYTES) - FRAME_BYTES;
    const stats = await assertDirectory(directory);
    assertPermits(stats, caller, May.read);
    const names = await namesOf(directory, stats.ctimeNs);
    const rest = names.slice(firstAfter(names, cookie));
    const own = [
      { name: Buffer.from('.'), cookie: OWN_COOKIE, id: stats.ino },
      { name: Buffer.from('..'), cookie: PARENT_COOKIE, id: await parentId(directory, stats.ino) },
    ].filter((entry) => entry.cookie > cookie);
    const fits: ListedName[] = [];
    for (let left = room; fits.length < MOST_ENTRIES; ) {
      const next = rest[fits.length];
      left -= ENTRY_BYTES + (next?.name.length ?? 0);
      if (!next || left < 0) break;
      fits.push(next);
    }
    const ids = await Promise.all(fits.map(({ name }) => idOf(directory, name)));
    const entries = fits.flatMap((entry, i) => {
      const id = ids[i];
      return id === undefined ? [] : [{ ...entry, id }];
    });
    const attributes = await attributesNow(directory);
    return (results) => {
      attributes(results);
      results.fixed(VERIFIER);
      for (const entry of [...own, ...entries]) writeEntry(results, entry);
      results.bool(false).bool(fits.length === rest.length);
    };
  };
}

function writeEntry(results: XdrWriter, { name, cookie, id }: ListedName & { id: bigint }): void {
  results.bool(true).u64(id).opaque(name).u64(cookie);
}

/** A positive number of 63 bits: programs take it for a position in a file. */
function cookieOf(name: Buffer): bigint {
  const hash = createHash('sha1').update(name).digest().readBigUInt64BE() >> 1n;
  return hash > PARENT_COOKIE ? hash : PARENT_COOKIE + 1n;
}

function firstAfter(names: readonly ListedName[], cookie: bigint): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] as ListedName).cookie > cookie) high = middle;
    else low = middle + 1;
  }
  return low;
}

async function parentId(directory: Inode, own: bigint): Promise<bigint> {
  if (directory.volume.isRoot(directory)) return own;
  return (await idOf(directory, Buffer.from('..'))) ?? own;
}

/** Undefined where it is gone. */
function idOf(directory: Inode, name: Buffer): Promise<bigint | undefined> {
  return directory.statsOf(name).then(
    ({ ino }) => ino,
    () => undefined,
  );
}
