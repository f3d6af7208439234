import { ArchiveError, unreadable } from './archive-error.ts';
import { checkEntry } from './entry.ts';
import { BLOCK_BYTES, isZeroBlock, parseHeader, type TarHeader } from './header.ts';
import { type EntryOverrides, parsePax } from './pax.ts';

/** Most headers of one archive; a package folder with all its dependencies has some hundred thousand. */
const MAX_HEADERS = 2_000_000;
/** Longest extended header or long name, bytes. */
const MAX_META_BYTES = 64 * 1024;
/** Most of them before one entry: a long name, a long link, a pax header and one for all entries, twice. */
const MAX_META_IN_A_ROW = 8;
/** Most zeros behind the end: what `tar --blocking-factor` pads an archive to by its largest customary factor. */
const MAX_PADDING_BYTES = 1024 ** 2;

/** Type flags of headers that say more of the entry after them. */
const LONG_PATH: ReadonlySet<string> = new Set(['L', 'N']);
const LONG_LINK = 'K';
const PAX: ReadonlySet<string> = new Set(['x', 'X']);
/** What pax says of all entries: no name and no size, which make no sense there. */
const GLOBAL_PAX = 'g';

/** What a header that says more of the entry after it holds, as far as it has come. */
interface MetaContent {
  type: string;
  content: Buffer;
  have: number;
}

/**
 * Walks over the headers of a tar archive that comes in pieces, in time that is linear in its length, and looks at every entry. Own
 * code, since it must be: of what the library's parser does for an archive, only this much is wanted, and the parser gathers what
 * stands behind the end, in quadratic time.
 */
export class TarWalk {
  readonly #maxBytes: number;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #blockBytes = 0;
  #totalBytes = 0;
  #headers = 0;
  #metaInARow = 0;
  /** Content and padding that nobody looks at, bytes still to come. */
  #skipBytes = 0;
  #meta: MetaContent | undefined;
  #overrides: EntryOverrides = {};
  /** Bytes behind the block of zeros that begins the end; undefined before it. */
  #endBytes: number | undefined;

  /** @param maxBytes longest archive, unpacked, with all headers and padding */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws ArchiveError as soon as something is wrong. */
  write(chunk: Buffer): void {
    this.#totalBytes += chunk.length;
    this.#bound(this.#totalBytes);
    for (let at = 0; at < chunk.length; ) at += this.#take(chunk, at);
  }

  /** @throws ArchiveError if the archive is not whole. */
  end(): void {
    if (this.#endBytes === undefined || this.#endBytes < BLOCK_BYTES) throw unreadable('it is not whole');
  }

  /** @returns how many bytes from `at` on were used, at least one. */
  #take(chunk: Buffer, at: number): number {
    const left = chunk.length - at;
    if (this.#skipBytes > 0) {
      const skipped = Math.min(this.#skipBytes, left);
      this.#skipBytes -= skipped;
      return skipped;
    }
    if (this.#meta) return this.#takeMeta(this.#meta, chunk, at);
    const copied = chunk.copy(this.#block, this.#blockBytes, at);
    this.#blockBytes += copied;
    if (this.#endBytes !== undefined) this.#padding(copied);
    else if (this.#blockBytes === BLOCK_BYTES) this.#header();
    if (this.#blockBytes === BLOCK_BYTES) this.#blockBytes = 0;
    return copied;
  }

  /** What was read last, up to `#blockBytes` of the block, stands behind the end. */
  #padding(bytes: number): void {
    this.#endBytes = (this.#endBytes ?? 0) + bytes;
    const read = this.#block.subarray(this.#blockBytes - bytes, this.#blockBytes);
    if (read.some((byte) => byte !== 0)) throw unreadable('there is data after its end');
    if (this.#endBytes > MAX_PADDING_BYTES) {
      throw unreadable(`there is more than ${MAX_PADDING_BYTES / 1024 ** 2} MiB of padding after its end`);
    }
  }

  #header(): void {
    if (isZeroBlock(this.#block)) {
      if (this.#metaInARow > 0) throw unreadable('its last header belongs to no entry');
      this.#endBytes = 0;
      return;
    }
    if (++this.#headers > MAX_HEADERS)
      throw new ArchiveError(`the archive has more than ${MAX_HEADERS} entries`);
    const header = parseHeader(this.#block);
    const { type, sizeBytes } = header;
    if (LONG_PATH.has(type) || type === LONG_LINK || PAX.has(type) || type === GLOBAL_PAX) {
      this.#beginMeta(type, sizeBytes);
    } else {
      this.#entry({ ...header, ...this.#overrides });
    }
  }

  #entry(entry: TarHeader): void {
    this.#skipBytes = padded(checkEntry(entry));
    this.#bound(this.#skipBytes);
    this.#metaInARow = 0;
    this.#overrides = {};
  }

  #beginMeta(type: string, sizeBytes: number): void {
    if (sizeBytes > MAX_META_BYTES) throw unreadable(`a header is longer than ${MAX_META_BYTES} bytes`);
    if (++this.#metaInARow > MAX_META_IN_A_ROW) {
      throw unreadable(`an entry has more than ${MAX_META_IN_A_ROW} headers`);
    }
    if (sizeBytes > 0) this.#meta = { type, content: Buffer.alloc(sizeBytes), have: 0 };
  }

  #takeMeta(meta: MetaContent, chunk: Buffer, at: number): number {
    const { content } = meta;
    const copied = chunk.copy(content, meta.have, at);
    meta.have += copied;
    if (meta.have < content.length) return copied;
    this.#skipBytes = padded(content.length) - content.length;
    this.#meta = undefined;
    if (PAX.has(meta.type)) Object.assign(this.#overrides, parsePax(content));
    else if (meta.type === GLOBAL_PAX) parsePax(content);
    else if (meta.type === LONG_LINK) this.#overrides.linkPath = untilNul(content);
    else this.#overrides.path = untilNul(content);
    return copied;
  }

  #bound(bytes: number): void {
    if (bytes <= this.#maxBytes) return;
    throw new ArchiveError(`the archive unpacks to more than ${Math.floor(this.#maxBytes / 1024 ** 2)} MiB`);
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function untilNul(content: Buffer): string {
  const end = content.indexOf(0);
  return content.toString('utf8', 0, end === -1 ? content.length : end);
}
