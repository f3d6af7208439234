import type { BigIntStats } from 'node:fs';
import type { FileTime } from './kernel-files.ts';
import { XdrError, type XdrReader, type XdrWriter } from './xdr.ts';

/** What a client wants a file's attributes to be; what is undefined stays as it is. */
export interface WantedAttributes {
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  /** Bytes. */
  size: bigint | undefined;
  accessed: FileTime;
  modified: FileTime;
}

const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFDIR = 0o040000;
const S_IFBLK = 0o060000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_IFSOCK = 0o140000;

/** Kinds of files that a client has made without being opened, by their number in the protocol. */
export const SPECIAL_KINDS: ReadonlyMap<number, number> = new Map([
  [6, S_IFSOCK],
  [7, S_IFIFO],
]);

const KINDS: ReadonlyMap<number, number> = new Map([
  [S_IFREG, 1],
  [S_IFDIR, 2],
  [S_IFBLK, 3],
  [S_IFCHR, 4],
  [S_IFLNK, 5],
  [S_IFSOCK, 6],
  [S_IFIFO, 7],
]);

export const PERMISSIONS = 0o7777;

export function isDirectory({ mode }: BigIntStats): boolean {
  return (Number(mode) & S_IFMT) === S_IFDIR;
}

export function isFile({ mode }: BigIntStats): boolean {
  return (Number(mode) & S_IFMT) === S_IFREG;
}

export function isLink({ mode }: BigIntStats): boolean {
  return (Number(mode) & S_IFMT) === S_IFLNK;
}

/** `fattr3` */
export function writeAttributes(writer: XdrWriter, stats: BigIntStats, fsid: bigint): void {
  const mode = Number(stats.mode);
  writer
    .u32(KINDS.get(mode & S_IFMT) ?? 1)
    .u32(mode & PERMISSIONS)
    .u32(Number(stats.nlink))
    .u32(Number(stats.uid))
    .u32(Number(stats.gid))
    .u64(stats.size)
    .u64(stats.blocks * 512n)
    .u64(0n) // the device that it stands for: none is made here
    .u64(fsid)
    .u64(stats.ino);
  for (const time of [stats.atimeNs, stats.mtimeNs, stats.ctimeNs]) {
    // As 32 bits have it, from 1901 to 2038 and on to 2106. Before 1970, too, what is beyond the second counts forward.
    const nanoseconds = ((time % NS_PER_S) + NS_PER_S) % NS_PER_S;
    writer.u32(Number(BigInt.asUintN(32, (time - nanoseconds) / NS_PER_S))).u32(Number(nanoseconds));
  }
}

const NS_PER_S = 1_000_000_000n;

/** `post_op_attr` */
export function writePossibleAttributes(
  writer: XdrWriter,
  stats: BigIntStats | undefined,
  fsid: bigint,
): void {
  writer.bool(stats !== undefined);
  if (stats) writeAttributes(writer, stats, fsid);
}

/** `sattr3` */
export function readWantedAttributes(args: XdrReader): WantedAttributes {
  const mode = args.bool() ? args.u32() & PERMISSIONS : undefined;
  const uid = args.bool() ? args.u32() : undefined;
  const gid = args.bool() ? args.u32() : undefined;
  const size = args.bool() ? args.u64() : undefined;
  return { mode, uid, gid, size, accessed: readTime(args), modified: readTime(args) };
}

function readTime(args: XdrReader): FileTime {
  const how = args.u32();
  if (how === 0) return 'unchanged';
  if (how === 1) return 'now';
  if (how !== 2) throw new XdrError(`${how} is no way to set a time`);
  const time = { seconds: args.u32(), nanoseconds: args.u32() };
  if (time.nanoseconds >= Number(NS_PER_S)) throw new XdrError('a second has no more nanoseconds');
  return time;
}
