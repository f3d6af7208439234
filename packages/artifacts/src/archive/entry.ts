import { ArchiveError } from './archive-error.ts';
import type { TarHeader } from './header.ts';

/** What Linux takes as a path and as a name. */
const LONGEST_PATH = 4096;
const LONGEST_NAME = 255;
/** Longest part of a name that a message repeats. */
const SHOWN = 200;

const FILES: ReadonlySet<string> = new Set(['0', '7']);
const FOLDER = '5';
const SYMBOLIC_LINK = '2';
const HARD_LINK = '1';
/** Of the kinds that are told by name when they are refused. */
const NAMES: Readonly<Record<string, string>> = {
  '3': 'character device',
  '4': 'block device',
  '6': 'pipe',
  S: 'file with holes',
};

/**
 * The bytes that follow an entry's header.
 * @throws ArchiveError if the entry would be put outside of its folder, or is neither file, folder nor link.
 */
export function checkEntry(entry: TarHeader): number {
  const { type, path, linkPath, sizeBytes } = entry;
  const shown = `'${path.slice(0, SHOWN)}'`;
  const refuse = (why: string) => new ArchiveError(`the archive's entry ${shown} ${why}`);
  if (path === '') throw refuse('has no name');
  if (leavesFolder(path)) throw refuse('lies outside of its folder');
  if (isTooLong(path)) throw refuse('has a longer name than a file system takes');
  // Old programs mark a folder by the end of its name. What a folder has for a size is not in the archive.
  if (type === FOLDER || (type === '0' && path.endsWith('/'))) return 0;
  if (FILES.has(type)) return sizeBytes;
  if (type !== SYMBOLIC_LINK && type !== HARD_LINK) {
    throw refuse(
      `is a ${NAMES[type] ?? 'thing of its own kind'}: only files, folders and links can be copied`,
    );
  }
  if (linkPath === '') throw refuse('is a link that leads nowhere');
  if (Buffer.byteLength(linkPath) > LONGEST_PATH) throw refuse('is a link to a longer name than there is');
  // Programs do not agree whether a link has content.
  if (sizeBytes !== 0) throw refuse('is a link with content');
  // A symbolic link may name any place of the image. A hard link is made when the archive is unpacked.
  if (type === HARD_LINK && leavesFolder(linkPath)) {
    throw new ArchiveError(`the archive's hard link ${shown} leads outside of its folder`);
  }
  return 0;
}

function leavesFolder(path: string): boolean {
  return path.startsWith('/') || path.includes('\0') || path.split('/').includes('..');
}

function isTooLong(path: string): boolean {
  return (
    Buffer.byteLength(path) >= LONGEST_PATH ||
    path.split('/').some((name) => Buffer.byteLength(name) > LONGEST_NAME)
  );
}
