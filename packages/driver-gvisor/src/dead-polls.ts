import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StateFileError } from './chunk-reader.ts';
import { type FieldValue, readState, type StoredUint } from './state-file.ts';

/** Of a snapshot: all that the sandbox is but its memory. */
export const CHECKPOINT_FILE = 'checkpoint.img';

const KERNEL = 'pkg/sentry/kernel.Kernel';
const EPOLL = 'pkg/sentry/vfs.EpollInstance';
const INTEREST = 'pkg/sentry/vfs.epollInterest';

/** An idle sandbox's has 3 MB, one of 20,000 files 25 MB. */
const MAX_BYTES = 512 * 1024 * 1024;

/**
 * Makes a checkpoint restore without the events of closed files.
 *
 * gVisor (release 20240729) leaves pointers between the entries of an epoll instance behind that were found not ready together,
 * as all are in the first wait after a restore. An entry whose file is closed later stays reachable by such a pointer, is
 * saved, and is marked ready by the next restore, from when on every wait reports it: as a hang-up of a descriptor that is
 * closed, or is another file by then. Programs spin, and break connections that got the descriptor's number.
 *
 * Dead entries are those that no instance holds in its table. Their masks are set to no event at all, in place, which drops
 * them from the first wait.
 * @returns how many were found.
 * @throws StateFileError if the checkpoint is not as this release writes it, or too large.
 */
export async function disarmDeadPolls(snapshotDir: string): Promise<number> {
  const file = join(snapshotDir, CHECKPOINT_FILE);
  const { size } = await stat(file);
  if (size > MAX_BYTES) throw new StateFileError(`the checkpoint has ${size} bytes, more than ${MAX_BYTES}`);
  const masks = deadMasks(await readFile(file));
  if (masks.length === 0) return 0;
  const handle = await open(file, 'r+');
  try {
    for (const { offsets } of masks) await writeZero(handle, offsets);
  } finally {
    await handle.close();
  }
  return masks.length;
}

/** The event masks of entries that belong to no epoll instance any more. */
export function deadMasks(image: Buffer): StoredUint[] {
  const tables = new Map<number, number[]>();
  const held: FieldValue[] = [];
  const interests = new Map<number, FieldValue | undefined>();
  readState(image, KERNEL, {
    onMap: (object, { values }) => void tables.set(object, values),
    onStruct(object, type, fields) {
      const table = fields.get('interest');
      if (type === EPOLL && table) held.push(table);
      if (type === INTEREST) interests.set(object, fields.get('mask'));
    },
  });
  const alive = new Set(
    held.flatMap((table) => (table.kind === 'reference' ? (tables.get(table.object) ?? []) : [])),
  );
  return [...interests].flatMap(([object, mask]) =>
    !alive.has(object) && mask?.kind === 'uint' && mask.value !== 0 ? [mask] : [],
  );
}

/** Numbers are stored in bytes of seven bits, of which the highest says whether more follow. */
async function writeZero(handle: FileHandle, offsets: readonly number[]): Promise<void> {
  for (const [index, offset] of offsets.entries()) {
    await handle.write(Buffer.of(index === offsets.length - 1 ? 0 : 0x80), 0, 1, offset);
  }
}
