import type { BigIntStats } from 'node:fs';
import { writePossibleAttributes } from './attributes.ts';
import { type ExportedVolume, FILE_HANDLE_BYTES, type Inode } from './exported-volume.ts';
import type { Credentials, Procedure } from './rpc.ts';
import { NfsError, STATUS_OK, statusOf } from './status.ts';
import type { XdrReader, XdrWriter } from './xdr.ts';

/** The volumes that a machine sees, by id in hex digits. */
export type Exports = ReadonlyMap<string, ExportedVolume>;

/** What a request works with. */
export interface Request {
  args: XdrReader;
  caller: Credentials;
  /** Opens what the next argument, a handle, names, until the request is done. @throws NfsError */
  inode(): Inode;
}

/** Carries a request out, and gives what writes its results. */
export type Work = (request: Request) => Promise<(results: XdrWriter) => void>;

/** NFSv3 allows longer ones. */
const MAX_HANDLE_BYTES = 64;

/**
 * A procedure of NFSv3: a status comes first.
 * @param absent how many attributes a failure's results have room for; none are given
 */
export function procedure(exports: Exports, absent: number, work: Work): Procedure {
  return async (args, caller, results) => {
    const open: Inode[] = [];
    const inode = () => {
      const handle = args.opaque(MAX_HANDLE_BYTES);
      const opened = volumeOf(exports, handle).open(handle);
      open.push(opened);
      return opened;
    };
    try {
      const write = await work({ args, caller, inode });
      write(results.u32(STATUS_OK));
    } catch (error) {
      const status = statusOf(error);
      if (status === undefined) throw error;
      results.u32(status);
      for (let i = 0; i < absent; i++) results.bool(false);
    } finally {
      for (const opened of open) opened.close();
    }
  };
}

function volumeOf(exports: Exports, handle: Buffer): ExportedVolume {
  const volume = exports.get(handle.toString('hex', 0, 16));
  if (handle.length !== FILE_HANDLE_BYTES || !volume)
    throw new NfsError('EBADHANDLE', 'it is of no volume of this machine');
  return volume;
}

/** Attributes of a file that may be gone by now (`post_op_attr`). */
export async function attributesNow(inode: Inode): Promise<(results: XdrWriter) => void> {
  const stats: BigIntStats | undefined = await inode.stats().catch(() => undefined);
  return (results) => writePossibleAttributes(results, stats, inode.volume.fsid);
}

/** The same, after it was changed (`wcc_data`): how it was before nobody knows, since others write to it, too. */
export async function changesNow(inode: Inode): Promise<(results: XdrWriter) => void> {
  const attributes = await attributesNow(inode);
  return (results) => attributes(results.bool(false));
}
