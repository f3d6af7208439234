import { type BigIntStats, lstatSync, realpathSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { filesystemProto } from '@islet/contracts';
import type { Accounts } from '../accounts/account.ts';
import type { ExtendedAttributes } from '../native/xattr.ts';
import { readMetadata } from './metadata.ts';
import { permissionText } from './permissions.ts';

const { FileType, EntryInfoSchema } = filesystemProto;

/** Describes what is at a path. */
export interface EntryReader {
  /**
   * @param shown the path to report if it differs from the one to read.
   * @throws NodeJS.ErrnoException of lstat.
   */
  read(path: string, shown?: string): filesystemProto.EntryInfo;
}

export function createEntryReader(accounts: Accounts, attributes: ExtendedAttributes): EntryReader {
  return {
    read(path, shown = path) {
      const own = lstatSync(path, { bigint: true });
      // Of a link, clients see what it leads to; size, times and owner stay the link's.
      const target = own.isSymbolicLink() ? statSync(path, { bigint: true, throwIfNoEntry: false }) : own;
      return create(EntryInfoSchema, {
        name: posix.basename(shown) || '/',
        type: target ? fileType(target) : FileType.UNSPECIFIED,
        path: shown,
        size: own.size,
        mode: target ? Number(target.mode) & 0o777 : 0,
        permissions: permissionText(Number(own.mode)),
        owner: accounts.userName(Number(own.uid)),
        group: accounts.groupName(Number(own.gid)),
        modifiedTime: modifiedTime(own),
        ...(own.isSymbolicLink() && { symlinkTarget: resolveLink(path, shown) }),
        metadata: readMetadata(attributes, path),
      });
    },
  };
}

function fileType(stat: BigIntStats): filesystemProto.FileType {
  if (stat.isFile()) return FileType.FILE;
  return stat.isDirectory() ? FileType.DIRECTORY : FileType.UNSPECIFIED;
}

function modifiedTime(stat: BigIntStats) {
  const time = timestampFromMs(Number(stat.mtimeMs));
  return { seconds: time.seconds, nanos: Number(stat.mtimeNs % 1_000_000_000n) };
}

function resolveLink(path: string, shown: string): string {
  try {
    return realpathSync(path);
  } catch {
    return shown; // dangling or a loop: there is no target to name
  }
}
