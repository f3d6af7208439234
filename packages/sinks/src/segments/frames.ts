import { crc32 } from 'node:zlib';

/** Before each payload: its length and its checksum. */
const HEAD_BYTES = 8;

/** Payloads one after the other, each with its length and checksum before it. */
export function frame(payloads: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  for (const payload of payloads) {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32LE(payload.length, 0);
    head.writeUInt32LE(crc32(payload), 4);
    parts.push(head, payload);
  }
  return Buffer.concat(parts);
}

/** How long a payload is in its frame, bytes. */
export function framedLength(payload: Buffer): number {
  return HEAD_BYTES + payload.length;
}

export interface Frame {
  payload: Buffer;
  /** Where the frame begins, and what is behind it. */
  start: number;
  end: number;
}

/** The whole frames that text begins with: whatever is behind one that is cut short or damaged has no known beginning. */
export function* readFrames(bytes: Buffer): Generator<Frame> {
  for (let start = 0; start + HEAD_BYTES <= bytes.length; ) {
    const end = start + HEAD_BYTES + bytes.readUInt32LE(start);
    if (end > bytes.length) return;
    const payload = bytes.subarray(start + HEAD_BYTES, end);
    if (crc32(payload) !== bytes.readUInt32LE(start + 4)) return;
    yield { payload, start, end };
    start = end;
  }
}
