import type { BigIntStats } from 'node:fs';
import { isDirectory, isFile, PERMISSIONS } from './attributes.ts';
import type { Credentials } from './rpc.ts';
import { NfsError } from './status.ts';

/** What one may want to do with a file, as in its permission bits. */
export const May = { read: 4, write: 2, execute: 1 } as const;

const STICKY = 0o1000n;
const SET_GROUP_ID = 0o2000;
const ROOT = 0;

/** Whether a file's permission bits let somebody do all of `wanted`, a sum of `May`. Root may do all but run what nobody may run. */
export function permits(stats: BigIntStats, caller: Credentials, wanted: number): boolean {
  const mode = Number(stats.mode);
  if (caller.uid === ROOT) return (wanted & May.execute) === 0 || isDirectory(stats) || (mode & 0o111) !== 0;
  const shift = isOwner(stats, caller) ? 6 : isMember(caller, Number(stats.gid)) ? 3 : 0;
  return ((mode >> shift) & wanted) === wanted;
}

/** @throws NfsError EACCES */
export function assertPermits(stats: BigIntStats, caller: Credentials, wanted: number): void {
  if (!permits(stats, caller, wanted)) throw new NfsError('EACCES', 'the permission bits forbid it');
}

/**
 * Content is asked for after a file was opened, when its mode may have changed: its owner goes on, and so does whoever may run it.
 * @throws NfsError EACCES
 */
export function assertMayRead(stats: BigIntStats, caller: Credentials): void {
  if (isOwner(stats, caller) || permits(stats, caller, May.execute)) return;
  assertPermits(stats, caller, May.read);
}

/** As with reading, an owner has it open perhaps. @throws NfsError EACCES */
export function assertMayWrite(stats: BigIntStats, caller: Credentials): void {
  if (!isOwner(stats, caller)) assertPermits(stats, caller, May.write);
}

/** Whether names in a directory may be made. @throws NfsError EACCES */
export function assertMayAdd(directory: BigIntStats, caller: Credentials): void {
  assertPermits(directory, caller, May.write | May.execute);
}

/** Whether a name in a directory may be taken away. @throws NfsError EACCES; EPERM where others' names are not to be touched there */
export function assertMayRemove(directory: BigIntStats, entry: BigIntStats, caller: Credentials): void {
  assertMayAdd(directory, caller);
  if ((directory.mode & STICKY) === 0n || caller.uid === ROOT) return;
  if (isOwner(entry, caller) || isOwner(directory, caller)) return;
  throw new NfsError('EPERM', 'only its owner may remove it there');
}

/** Whether another name may be made for a file: as Linux has it (`protected_hardlinks`). @throws NfsError EPERM */
export function assertMayName(stats: BigIntStats, caller: Credentials): void {
  if (caller.uid === ROOT || isOwner(stats, caller)) return;
  if (isFile(stats) && permits(stats, caller, May.read | May.write)) return;
  throw new NfsError('EPERM', 'only its owner names it anew');
}

export function isOwner(stats: BigIntStats, caller: Credentials): boolean {
  return Number(stats.uid) === caller.uid;
}

export function isMember(caller: Credentials, gid: number): boolean {
  return caller.gid === gid || caller.groups.includes(gid);
}

/** Owners may do what root may with what is theirs. @throws NfsError EPERM */
export function assertOwns(stats: BigIntStats, caller: Credentials): void {
  if (caller.uid !== ROOT && !isOwner(stats, caller)) throw new NfsError('EPERM', 'it is not theirs');
}

/** What of a wanted mode a file of group `gid` gets: who is not of that group does not let others become it. */
export function permittedMode(mode: number, gid: number, caller: Credentials): number {
  const mayLend = caller.uid === ROOT || isMember(caller, gid);
  return mode & (mayLend ? PERMISSIONS : PERMISSIONS & ~SET_GROUP_ID);
}

/** @throws NfsError EPERM if the owner, or the group, may not be changed so */
export function assertMayGive(
  stats: BigIntStats,
  caller: Credentials,
  { uid, gid }: { uid: number | undefined; gid: number | undefined },
): void {
  if (caller.uid === ROOT || (uid === undefined && gid === undefined)) return;
  const keepsOwner = uid === undefined || uid === Number(stats.uid);
  const keepsGroup = gid === undefined || gid === Number(stats.gid);
  // Also if nothing changes: it takes set-user-ID bits away.
  if (isOwner(stats, caller) && keepsOwner && (keepsGroup || isMember(caller, gid))) return;
  throw new NfsError('EPERM', 'only root gives files away');
}
