import { Header, type HeaderData } from 'tar';

export interface TarEntry extends Omit<HeaderData, 'size'> {
  content?: string | Buffer;
  /** What the header says in place of the content's length. */
  size?: number;
}

export const BLOCK = 512;
/** What ends an archive. */
export const END = Buffer.alloc(2 * BLOCK);

/** One entry: its header and its content, padded. */
export function entry({ content = '', ...header }: TarEntry): Buffer {
  const bytes = Buffer.from(content);
  const block = Buffer.alloc(BLOCK);
  new Header({ mode: 0o644, size: bytes.length, type: 'File', ...header }).encode(block);
  return Buffer.concat([block, padded(bytes)]);
}

/** A whole archive. */
export const tar = (...entries: TarEntry[]): Buffer => Buffer.concat([...entries.map(entry), END]);

/** A header whose bytes were changed, with the checksum of what they are now. */
export function changed(entry: Buffer, at: number, bytes: Buffer | string): Buffer {
  const copy = Buffer.from(entry);
  copy.fill(bytes, at, at + bytes.length);
  copy.fill(' ', 148, 156);
  const sum = copy.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0);
  copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return copy;
}

/** An extended header with these records. */
export function pax(
  records: Record<string, string>,
  type: 'ExtendedHeader' | 'GlobalExtendedHeader',
): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length + 1;
    while (`${length}${rest}`.length !== length) length++;
    return `${length}${rest}`;
  });
  return entry({ path: 'PaxHeader', type, content: lines.join('') });
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}
