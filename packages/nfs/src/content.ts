import {
  close as closeCallback,
  constants,
  open as openCallback,
  read as readCallback,
  write as writeCallback,
} from 'node:fs';
import { chmod, chown, truncate } from 'node:fs/promises';
import { promisify } from 'node:util';
import {
  isDirectory,
  isFile,
  isLink,
  readWantedAttributes,
  type WantedAttributes,
  writeAttributes,
} from './attributes.ts';
import type { Inode } from './exported-volume.ts';
import {
  assertMayGive,
  assertMayRead,
  assertMayWrite,
  assertOwns,
  assertPermits,
  isOwner,
  May,
  permits,
  permittedMode,
} from './permissions.ts';
import { attributesNow, changesNow, type Work } from './procedure.ts';
import type { Credentials } from './rpc.ts';
import { NfsError } from './status.ts';

/** Most bytes of one read or write: far above what a call costs, and not much for one machine to keep busy. */
export const MAX_TRANSFER_BYTES = 256 * 1024;

const open = promisify(openCallback);
const close = promisify(closeCallback);
const read = promisify(readCallback);
const write = promisify(writeCallback);

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** `stable_how`: written files are the node's then, and outlive the machine and Islet. */
const FILE_SYNC = 2;
/** A client would write again what is not stable if this changes; all is. */
export const WRITE_VERIFIER = Buffer.alloc(8);

/** No file of ext4 gets there, and no number of Node's is exact beyond. */
const MAX_OFFSET = BigInt(Number.MAX_SAFE_INTEGER);

/** `ACCESS3_…` */
const ACCESS = { read: 1, lookup: 2, modify: 4, extend: 8, delete: 16, execute: 32 };

export const getAttributes: Work = async ({ inode }) => {
  const file = inode();
  const stats = await file.stats();
  return (results) => writeAttributes(results, stats, file.volume.fsid);
};

export const setAttributes: Work = async ({ args, caller, inode }) => {
  const file = inode();
  const wanted = readWantedAttributes(args);
  const expectedChange = args.bool() ? ([args.u32(), args.u32()] as const) : undefined;
  if (expectedChange) throw new NfsError('ENOTSUP', 'attributes are set whatever they are');
  await applyAttributes(file, wanted, caller);
  return changesNow(file);
};

export const access: Work = async ({ args, caller, inode }) => {
  const file = inode();
  const asked = args.u32();
  const stats = await file.stats();
  const may = (wanted: number) => permits(stats, caller, wanted);
  let granted = 0;
  if (may(May.read)) granted |= ACCESS.read;
  if (may(May.write)) granted |= ACCESS.modify | ACCESS.extend;
  if (isDirectory(stats)) {
    if (may(May.execute)) granted |= ACCESS.lookup;
    if (may(May.write | May.execute)) granted |= ACCESS.delete;
  } else if (may(May.execute)) granted |= ACCESS.execute;
  const attributes = await attributesNow(file);
  return (results) => {
    attributes(results);
    results.u32(granted & asked);
  };
};

export const readLink: Work = async ({ inode }) => {
  const link = inode();
  if (!isLink(await link.stats())) throw new NfsError('EINVAL', 'it is no link');
  const target = link.volume.files.readLink(link.descriptor);
  const attributes = await attributesNow(link);
  return (results) => {
    attributes(results);
    results.opaque(target);
  };
};

export const readFile: Work = async ({ args, caller, inode }) => {
  const file = inode();
  const [offset, count] = [checkedOffset(args.u64()), Math.min(args.u32(), MAX_TRANSFER_BYTES)];
  const stats = await assertFile(file);
  assertMayRead(stats, caller);
  const available = stats.size > offset ? stats.size - offset : 0n;
  const length = available < BigInt(count) ? Number(available) : count;
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  let isCut = false;
  await withContent(file, O_RDONLY, async (descriptor) => {
    while (done < length && !isCut) {
      const { bytesRead } = await read(descriptor, buffer, done, length - done, Number(offset) + done);
      done += bytesRead;
      isCut = bytesRead === 0; // meanwhile
    }
  });
  const attributes = await attributesNow(file);
  return (results) => {
    attributes(results);
    results
      .u32(done)
      .bool(isCut || offset + BigInt(done) >= stats.size)
      .opaque(buffer.subarray(0, done));
  };
};

export const writeFile: Work = async ({ args, caller, inode }) => {
  const file = inode();
  const offset = checkedOffset(args.u64());
  args.u32(); // as long as the bytes
  args.u32(); // how stable they have to be
  const bytes = args.opaque(MAX_TRANSFER_BYTES);
  assertMayWrite(await assertFile(file), caller);
  let done = 0;
  await withContent(file, O_WRONLY, async (descriptor) => {
    while (done < bytes.length) {
      try {
        done += (await write(descriptor, bytes, done, bytes.length - done, Number(offset) + done))
          .bytesWritten;
      } catch (error) {
        if (done === 0) throw error;
        return; // the client writes the rest again, and is told then
      }
    }
  });
  const changes = await changesNow(file);
  return (results) => {
    changes(results);
    results.u32(done).u32(FILE_SYNC).fixed(WRITE_VERIFIER);
  };
};

export const commit: Work = async ({ inode }) => {
  const changes = await changesNow(inode());
  return (results) => {
    changes(results);
    results.fixed(WRITE_VERIFIER);
  };
};

/** Sets what the caller may set. @throws NfsError EPERM, EACCES before anything was changed */
export async function applyAttributes(
  file: Inode,
  wanted: WantedAttributes,
  caller: Credentials,
): Promise<void> {
  const stats = await file.stats();
  const { uid, gid, size, accessed, modified } = wanted;
  assertMayGive(stats, caller, wanted);
  if (wanted.mode !== undefined) assertOwns(stats, caller);
  if (size !== undefined) assertMayWrite(await assertFile(file), caller);
  const setsTimes = accessed !== 'unchanged' || modified !== 'unchanged';
  if (setsTimes && !isOwner(stats, caller)) {
    const isTouched = [accessed, modified].every((time) => typeof time === 'string');
    if (isTouched) assertPermits(stats, caller, May.write);
    else assertOwns(stats, caller);
  }
  if (size !== undefined) await truncate(file.path, Number(checkedOffset(size)));
  const KEEP = -1;
  // The mode after it: a change of the owner takes set-user-ID bits away.
  if (uid !== undefined || gid !== undefined) await chown(file.path, uid ?? KEEP, gid ?? KEEP);
  if (wanted.mode !== undefined) {
    await chmod(file.path, permittedMode(wanted.mode, gid ?? Number(stats.gid), caller));
  }
  if (setsTimes) file.volume.files.setTimes(file.descriptor, accessed, modified);
}

/** Runs `use` with a file's content open. Pipes and devices were refused before: nobody waits for them. */
async function withContent(
  file: Inode,
  flags: number,
  use: (descriptor: number) => Promise<void>,
): Promise<void> {
  const descriptor = await open(file.path, flags | O_NONBLOCK);
  try {
    await use(descriptor);
  } finally {
    await close(descriptor);
  }
}

async function assertFile(file: Inode) {
  const stats = await file.stats();
  if (isDirectory(stats)) throw new NfsError('EISDIR', 'it is a directory');
  if (!isFile(stats)) throw new NfsError('EINVAL', 'it has no content');
  return stats;
}

/** @throws NfsError EFBIG */
export function checkedOffset(offset: bigint): bigint {
  if (offset > MAX_OFFSET) throw new NfsError('EFBIG', 'no file is as long');
  return offset;
}
