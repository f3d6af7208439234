import {
  close as closeCallback,
  constants,
  fchmod as fchmodCallback,
  fchown as fchownCallback,
  open as openCallback,
} from 'node:fs';
import { chmod, rename, rmdir, truncate, unlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import {
  isDirectory,
  isFile,
  readWantedAttributes,
  SPECIAL_KINDS,
  type WantedAttributes,
  writePossibleAttributes,
} from './attributes.ts';
import { applyAttributes, checkedOffset } from './content.ts';
import { checkedName, type Inode } from './exported-volume.ts';
import {
  assertMayAdd,
  assertMayName,
  assertMayRemove,
  assertMayWrite,
  assertOwns,
  assertPermits,
  May,
  permittedMode,
} from './permissions.ts';
import { attributesNow, changesNow, type Request, type Work } from './procedure.ts';
import type { Credentials } from './rpc.ts';
import { NfsError } from './status.ts';

const open = promisify(openCallback);
const close = promisify(closeCallback);
const fchmod = promisify(fchmodCallback);
const fchown = promisify(fchownCallback);

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

const MAX_NAME_ARGUMENT = 4096;
const MAX_LINK_BYTES = 4095;
const SET_GROUP_ID = 0o2000n;
/** Until it has its owner, nobody else may use it. */
const FIRST_FILE_MODE = 0o600;

/** `createmode3` */
const Create = { unchecked: 0, guarded: 1, exclusive: 2 } as const;
const VERIFIER_BYTES = 8;

const NO_ATTRIBUTES: WantedAttributes = {
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  accessed: 'unchanged',
  modified: 'unchanged',
};

export const lookUp: Work = async (request) => {
  const { directory, name } = nameIn(request);
  assertPermits(await assertDirectory(directory), request.caller, May.execute);
  const { handle, stats } = await directory.volume.entry(directory, name);
  const attributes = await attributesNow(directory);
  return (results) => {
    writePossibleAttributes(results.opaque(handle), stats, directory.volume.fsid);
    attributes(results);
  };
};

export const create: Work = async (request) => {
  const { directory, name } = nameIn(request);
  const how = request.args.u32();
  const verifier = how === Create.exclusive ? request.args.fixed(VERIFIER_BYTES) : undefined;
  const wanted = verifier ? withVerifier(verifier) : readWantedAttributes(request.args);
  assertMayAdd(await assertDirectory(directory), request.caller);
  try {
    await makeFile(directory, name, wanted.mode ?? FIRST_FILE_MODE, request.caller);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || how === Create.guarded) throw error;
    await takeExisting(directory, name, wanted, verifier, request.caller);
    return made(directory, name);
  }
  return finish(request, directory, name, { ...wanted, mode: undefined });
};

export const makeDirectory: Work = async (request) => {
  const { directory, name } = nameIn(request);
  const wanted = readWantedAttributes(request.args);
  assertMayAdd(await assertDirectory(directory), request.caller);
  directory.volume.files.makeDirectory(request.caller, directory.descriptor, name);
  return finish(request, directory, name, wanted);
};

export const makeLink: Work = async (request) => {
  const { directory, name } = nameIn(request);
  readWantedAttributes(request.args); // a link has none to set
  const target = request.args.opaque(MAX_LINK_BYTES);
  assertMayAdd(await assertDirectory(directory), request.caller);
  if (target.includes(0)) throw new NfsError('EINVAL', 'no path holds a NUL character');
  directory.volume.files.makeLink(request.caller, directory.descriptor, name, target);
  return finish(request, directory, name, NO_ATTRIBUTES);
};

/** Pipes and sockets; a device would be none in any sandbox. */
export const makeSpecial: Work = async (request) => {
  const { directory, name } = nameIn(request);
  const kind = SPECIAL_KINDS.get(request.args.u32());
  if (kind === undefined) throw new NfsError('EPERM', 'devices are not made on volumes');
  const wanted = readWantedAttributes(request.args);
  assertMayAdd(await assertDirectory(directory), request.caller);
  directory.volume.files.makeNode(request.caller, directory.descriptor, name, kind);
  return finish(request, directory, name, wanted);
};

export const removeFile: Work = async (request) => {
  const { directory, name } = nameIn(request);
  await assertRemovable(directory, name, request.caller);
  await unlink(directory.pathTo(name));
  return changesNow(directory);
};

export const removeDirectory: Work = async (request) => {
  const { directory, name } = nameIn(request);
  await assertRemovable(directory, name, request.caller);
  await rmdir(directory.pathTo(name));
  return changesNow(directory);
};

export const moveName: Work = async (request) => {
  const from = nameIn(request);
  const to = nameIn(request);
  const { caller } = request;
  await assertRemovable(from.directory, from.name, caller);
  await assertRemovable(to.directory, to.name, caller).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await assertMayMove(from, to.directory, caller);
  await rename(from.directory.pathTo(from.name), to.directory.pathTo(to.name));
  const [before, after] = [await changesNow(from.directory), await changesNow(to.directory)];
  return (results) => {
    before(results);
    after(results);
  };
};

export const addName: Work = async (request) => {
  const file = request.inode();
  const { directory, name } = nameIn(request);
  assertMayAdd(await assertDirectory(directory), request.caller);
  assertMayName(await file.stats(), request.caller);
  if (file.volume !== directory.volume) throw new NfsError('EXDEV', 'it is of another volume');
  file.volume.files.link(file.descriptor, directory.descriptor, name);
  const [attributes, changes] = [await attributesNow(file), await changesNow(directory)];
  return (results) => {
    attributes(results);
    changes(results);
  };
};

/** `diropargs3` */
function nameIn({ inode, args }: Request): { directory: Inode; name: Buffer } {
  const directory = inode();
  return { directory, name: checkedName(args.opaque(MAX_NAME_ARGUMENT)) };
}

export async function assertDirectory(inode: Inode) {
  const stats = await inode.stats();
  if (!isDirectory(stats)) throw new NfsError('ENOTDIR', 'it is no directory');
  return stats;
}

async function assertRemovable(directory: Inode, name: Buffer, caller: Credentials): Promise<void> {
  const stats = await assertDirectory(directory);
  assertMayAdd(stats, caller);
  assertMayRemove(stats, await directory.statsOf(name), caller);
}

/** A directory's parent is written in it. */
async function assertMayMove(
  from: { directory: Inode; name: Buffer },
  to: Inode,
  caller: Credentials,
): Promise<void> {
  assertMayAdd(await to.stats(), caller);
  if (from.directory.handle.equals(to.handle)) return;
  const moved = await from.directory.statsOf(from.name);
  if (isDirectory(moved)) assertPermits(moved, caller, May.write);
}

/** Gives an entry that was just made the attributes that its maker wants. */
async function finish(
  { caller }: Request,
  directory: Inode,
  name: Buffer,
  wanted: WantedAttributes,
): ReturnType<Work> {
  const { handle } = await directory.volume.entry(directory, name);
  const entry = directory.volume.open(handle);
  try {
    const stats = await entry.stats();
    if (wanted.mode !== undefined) {
      // The name may be another's by now.
      assertOwns(stats, caller);
      // Directories hand this bit on, also to those who are not of their group.
      await chmod(entry.path, wanted.mode | Number(stats.mode & SET_GROUP_ID));
    }
    await applyAttributes(entry, { ...wanted, mode: undefined }, caller);
  } finally {
    entry.close();
  }
  return made(directory, name);
}

/** Makes a file, with its owner. @throws Error EEXIST */
async function makeFile(directory: Inode, name: Buffer, mode: number, caller: Credentials): Promise<void> {
  const { uid } = caller;
  const above = await directory.stats();
  const descriptor = await open(
    directory.pathTo(name),
    O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW,
    FIRST_FILE_MODE,
  );
  try {
    const gid = (above.mode & SET_GROUP_ID) !== 0n ? Number(above.gid) : caller.gid;
    await fchown(descriptor, uid, gid);
    await fchmod(descriptor, permittedMode(mode, gid, caller));
  } finally {
    await close(descriptor);
  }
}

async function made(directory: Inode, name: Buffer): ReturnType<Work> {
  const { handle, stats } = await directory.volume.entry(directory, name);
  const changes = await changesNow(directory);
  return (results) => {
    writePossibleAttributes(results.bool(true).opaque(handle), stats, directory.volume.fsid);
    changes(results);
  };
}

/** A file that was there before, or that an earlier try of the same request has made. */
async function takeExisting(
  directory: Inode,
  name: Buffer,
  wanted: WantedAttributes,
  verifier: Buffer | undefined,
  caller: Credentials,
): Promise<void> {
  const { handle, stats } = await directory.volume.entry(directory, name);
  if (verifier) {
    const { accessed, modified } = withVerifier(verifier);
    const seconds = (time: typeof accessed) => (typeof time === 'string' ? -1n : BigInt(time.seconds));
    if (stats.atimeNs === seconds(accessed) * NS && stats.mtimeNs === seconds(modified) * NS) return;
    throw new NfsError('EEXIST', 'it is there already');
  }
  if (wanted.size === undefined) return;
  const file = directory.volume.open(handle);
  try {
    if (!isFile(stats)) throw new NfsError('EEXIST', 'it is no file');
    assertMayWrite(stats, caller);
    await truncate(file.path, Number(checkedOffset(wanted.size)));
  } finally {
    file.close();
  }
}

const NS = 1_000_000_000n;

/** Times tell later which request made a file; the client sets them right with its next request. */
function withVerifier(verifier: Buffer): WantedAttributes {
  const at = (offset: number) => ({ seconds: verifier.readUInt32BE(offset) % 2 ** 31, nanoseconds: 0 });
  return { ...NO_ATTRIBUTES, accessed: at(0), modified: at(4) };
}
