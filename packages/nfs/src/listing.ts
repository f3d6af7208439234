import { close as closeCallback, constants, open as openCallback } from 'node:fs';
import { promisify } from 'node:util';
import type { ListedName } from './kernel-files.ts';
import { assertDirectory } from './names.ts';
import { assertPermits, May } from './permissions.ts';
import { attributesNow, type Work } from './procedure.ts';
import { NfsError } from './status.ts';
import type { XdrWriter } from './xdr.ts';

const open = promisify(openCallback);
const close = promisify(closeCallback);

const VERIFIER = Buffer.alloc(8);

/** Most bytes of one answer. */
const MAX_BYTES = 64 * 1024;
/** Of an entry, beside its name, and of what stands around them. */
const ENTRY_BYTES = 24;
const FRAME_BYTES = 128;

/**
 * Lists directories. A listing goes on by the kernel's own numbers of places in a directory, which ext4 makes from names: what is made or removed
 * meanwhile, or a restart, neither hides nor repeats any of the others. Nothing is kept for a client, and no more is read than is answered,
 * however much a directory holds.
 */
export const listDirectory: Work = async ({ args, caller, inode }) => {
  const directory = inode();
  const cookie = args.u64();
  args.fixed(VERIFIER.length); // listings go on whatever changes
  let room = Math.min(args.u32(), MAX_BYTES) - FRAME_BYTES;
  assertPermits(await assertDirectory(directory), caller, May.read);
  const { files } = directory.volume;
  const fits: ListedName[] = [];
  const descriptor = await open(directory.path, constants.O_RDONLY | constants.O_DIRECTORY);
  let isWhole = false;
  try {
    files.seek(descriptor, cookie);
    for (let isFull = false; !isFull && !isWhole; ) {
      const some = files.listOn(descriptor);
      isWhole = some.length === 0;
      for (const entry of some) {
        room -= ENTRY_BYTES + 4 * Math.ceil(entry.name.length / 4);
        isFull = room < 0;
        if (isFull) break;
        fits.push(entry);
      }
    }
  } finally {
    await close(descriptor);
  }
  if (fits.length === 0 && !isWhole) throw new NfsError('ETOOSMALL', 'not one entry fits');
  const attributes = await attributesNow(directory);
  return (results) => {
    attributes(results);
    results.fixed(VERIFIER);
    for (const entry of fits) writeEntry(results, entry);
    results.bool(false).bool(isWhole);
  };
};

function writeEntry(results: XdrWriter, { id, name, next }: ListedName): void {
  results.bool(true).u64(id).opaque(name).u64(next);
}
