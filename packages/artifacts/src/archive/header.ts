import { unreadable } from './archive-error.ts';

/** Tar is made of blocks of so many bytes. */
export const BLOCK_BYTES = 512;

/** What one header block says, as POSIX ustar and GNU tar write it. */
export interface TarHeader {
  /** The type flag: `0` a file, `5` a folder, … */
  type: string;
  path: string;
  linkPath: string;
  /** Of what follows the header, without its padding. */
  sizeBytes: number;
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);
const CHECKSUM = { at: 148, bytes: 8 };
const SPACE = 0x20;

/** Whether a block is one of those that end an archive. */
export function isZeroBlock(block: Buffer): boolean {
  return block.equals(ZEROS);
}

/** @throws ArchiveError if the block is no header, or gives a size that nothing can have. */
export function parseHeader(block: Buffer): TarHeader {
  if (checksumOf(block) !== numberAt(block, CHECKSUM.at, CHECKSUM.bytes)) {
    throw unreadable('a header has the wrong checksum');
  }
  const name = textAt(block, 0, 100);
  // GNU tar has other fields in the place of the prefix, and writes another mark.
  const prefix = textAt(block, 257, 6) === 'ustar' ? textAt(block, 345, 155) : '';
  return {
    type: textAt(block, 156, 1) || '0',
    path: prefix === '' ? name : `${prefix}/${name}`,
    linkPath: textAt(block, 157, 100),
    sizeBytes: numberAt(block, 124, 12),
  };
}

/** The sum of all bytes, those of the checksum itself counted as spaces. */
function checksumOf(block: Buffer): number {
  let sum = CHECKSUM.bytes * SPACE;
  for (let at = 0; at < BLOCK_BYTES; at++) {
    const own = at >= CHECKSUM.at && at < CHECKSUM.at + CHECKSUM.bytes;
    if (!own) sum += block[at] ?? 0;
  }
  return sum;
}

function textAt(block: Buffer, at: number, bytes: number): string {
  const field = block.subarray(at, at + bytes);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? bytes : end);
}

/** Octal digits, or GNU's big-endian number, which the first bit marks. */
function numberAt(block: Buffer, at: number, bytes: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) === 0) {
    const digits = textAt(block, at, bytes).trim();
    if (!/^[0-7]*$/.test(digits)) throw unreadable('a header holds a number that is none');
    return Number.parseInt(digits || '0', 8);
  }
  if ((first & 0x40) !== 0) throw unreadable('a header holds a negative number');
  const value = BigInt(`0x${block.toString('hex', at, at + bytes)}`) & ~(0x80n << BigInt(8 * (bytes - 1)));
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw unreadable('a header holds a number that is too large');
  return Number(value);
}
