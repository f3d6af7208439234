import { statfs } from 'node:fs/promises';
import { MAX_TRANSFER_BYTES } from './content.ts';
import { attributesNow, type Work } from './procedure.ts';

/** What ext4 allows. */
const MAX_FILE_BYTES = 16n * 1024n ** 4n;
const MAX_LINKS = 65_000;
const MAX_NAME_BYTES = 255;
const LISTING_BYTES = 64 * 1024;

/** `FSF3_…`: hard and symbolic links, the same for all files, times can be set. */
const PROPERTIES = 0x1 | 0x2 | 0x8 | 0x10;

/** How much it holds and how much of that is free. */
export const spaceOf: Work = async ({ inode }) => {
  const file = inode();
  const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(file.path, { bigint: true });
  const attributes = await attributesNow(file);
  return (results) => {
    attributes(results);
    for (const blockCount of [blocks, bfree, bavail]) results.u64(blockCount * bsize);
    for (const count of [files, ffree, ffree]) results.u64(count);
    results.u32(0); // changes at any moment
  };
};

/** What the server can do. */
export const abilities: Work = async ({ inode }) => {
  const attributes = await attributesNow(inode());
  return (results) => {
    attributes(results);
    for (let direction = 0; direction < 2; direction++)
      results.u32(MAX_TRANSFER_BYTES).u32(MAX_TRANSFER_BYTES).u32(4096);
    results.u32(LISTING_BYTES).u64(MAX_FILE_BYTES);
    results.u32(0).u32(1); // times are exact to the nanosecond
    results.u32(PROPERTIES);
  };
};

export const limits: Work = async ({ inode }) => {
  const attributes = await attributesNow(inode());
  return (results) => {
    attributes(results);
    results.u32(MAX_LINKS).u32(MAX_NAME_BYTES);
    // Long names are refused, files not given away, and names as they are written.
    results.bool(true).bool(true).bool(false).bool(true);
  };
};
