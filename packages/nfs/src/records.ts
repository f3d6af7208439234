import { XdrError } from './xdr.ts';

/** Of a fragment's header: the record ends with it. */
export const LAST_FRAGMENT = 0x80000000;
export const HEADER_BYTES = 4;

const FIRST_CAPACITY = 4096;

/**
 * Puts records together from a stream of fragments (RFC 5531, record marking). What is kept of an unfinished record are its bytes, in however many
 * fragments and pieces they come. @throws XdrError if one is too large
 */
export async function* recordsOf(
  stream: AsyncIterable<Buffer>,
  maxRecordBytes: number,
): AsyncGenerator<Buffer> {
  const header = Buffer.alloc(HEADER_BYTES);
  let headerBytes = 0;
  /** Of the fragment that is being read. */
  let missing = 0;
  let isLast = false;
  let record = Buffer.alloc(FIRST_CAPACITY);
  let length = 0;

  const beginFragment = () => {
    const value = header.readUInt32BE();
    missing = value % LAST_FRAGMENT;
    isLast = value >= LAST_FRAGMENT;
    if (missing === 0 || length + missing > maxRecordBytes)
      throw new XdrError(`a record of ${length + missing} bytes`);
  };
  const add = (bytes: Buffer) => {
    if (length + bytes.length > record.length) {
      const larger = Buffer.alloc(Math.min(maxRecordBytes, 2 * (length + bytes.length)));
      record.copy(larger, 0, 0, length);
      record = larger;
    }
    bytes.copy(record, length);
    length += bytes.length;
    missing -= bytes.length;
  };

  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; ) {
      if (missing === 0) {
        const taken = chunk.copy(header, headerBytes, at, at + HEADER_BYTES - headerBytes);
        headerBytes = (headerBytes + taken) % HEADER_BYTES;
        at += taken;
        if (headerBytes === 0) beginFragment();
        continue;
      }
      const piece = chunk.subarray(at, at + missing);
      add(piece);
      at += piece.length;
      if (missing > 0 || !isLast) continue;
      yield record.subarray(0, length);
      // Whoever got it still works with it.
      record = Buffer.alloc(FIRST_CAPACITY);
      length = 0;
    }
  }
}
