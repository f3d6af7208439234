import { ArchiveError, unreadable } from './archive-error.ts';

/** What extended headers say of the entry that follows, in place of its own header. */
export interface EntryOverrides {
  path?: string;
  linkPath?: string;
  sizeBytes?: number;
}

const SPACE = 0x20;
const LINE_FEED = 0x0a;
/** With room to spare for `9007199254740991`. */
const LONGEST_LENGTH = 20;

/**
 * Reads the records of a pax header, each `<length> <key>=<value>\n`.
 * @throws ArchiveError if they are not whole, or describe a file with holes, which unpacks to something else.
 */
export function parsePax(content: Buffer): EntryOverrides {
  const found: EntryOverrides = {};
  for (let at = 0; at < content.length; ) {
    const space = content.subarray(at, at + LONGEST_LENGTH).indexOf(SPACE);
    const digits = content.toString('latin1', at, at + Math.max(space, 0));
    const end = at + Number(digits);
    const equals = content.subarray(at, end).indexOf('=');
    const whole =
      /^\d+$/.test(digits) && end <= content.length && equals > space && content[end - 1] === LINE_FEED;
    if (!whole) throw unreadable('an extended header is damaged');
    const key = content.toString('utf8', at + space + 1, at + equals);
    const value = content.toString('utf8', at + equals + 1, end - 1);
    if (key === 'path') found.path = value;
    else if (key === 'linkpath') found.linkPath = value;
    else if (key === 'size') found.sizeBytes = parseSize(value);
    else if (key.startsWith('GNU.sparse')) {
      throw new ArchiveError('files with holes cannot be copied: pack them without --sparse');
    }
    at = end;
  }
  return found;
}

function parseSize(text: string): number {
  const size = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw unreadable('an extended header gives a size that is none');
  return size;
}
