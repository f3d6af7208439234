import { gzipSync } from 'node:zlib';
import { Header } from 'tar';
import { describe, expect, it } from 'vitest';
import { checkedArchive } from './archive.ts';

interface Entry {
  path: string;
  type?: 'File' | 'Directory' | 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'FIFO';
  linkpath?: string;
  content?: string;
}

function tar(...entries: Entry[]): Buffer {
  const blocks = entries.flatMap(({ path, type = 'File', linkpath, content = '' }) => {
    const header = Buffer.alloc(512);
    new Header({ path, type, mode: 0o644, size: content.length, ...(linkpath && { linkpath }) }).encode(
      header,
    );
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
    body.write(content);
    return [header, body];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function* inChunks(content: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function pass(content: Buffer, { maxBytes = 1_000_000, chunk = 1_000 } = {}): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of checkedArchive(inChunks(content, chunk), maxBytes)) parts.push(part);
  return Buffer.concat(parts);
}

const good = tar(
  { path: 'folder', type: 'Directory' },
  { path: 'folder/file..txt', content: 'x'.repeat(5_000) },
  { path: 'folder/link', type: 'SymbolicLink', linkpath: '/usr/bin/env' },
  { path: 'folder/same', type: 'Link', linkpath: 'folder/file..txt' },
);

describe('an archive on its way', () => {
  it('comes through unchanged, plain and compressed, in pieces of any size', async () => {
    for (const content of [good, gzipSync(good)]) {
      for (const chunk of [1, 7, 512, 1_000_000]) {
        expect((await pass(content, { chunk })).equals(content)).toBe(true);
      }
    }
  });

  it.each<[string, Entry, string]>([
    ['an absolute name', { path: '/etc/passwd', content: 'x' }, 'outside of its folder'],
    ['a name that climbs', { path: 'a/../../b', content: 'x' }, 'outside of its folder'],
    ['a hard link that climbs', { path: 'a', type: 'Link', linkpath: '../shadow' }, 'leads outside'],
    ['an absolute hard link', { path: 'a', type: 'Link', linkpath: '/etc/shadow' }, 'leads outside'],
    ['a device', { path: 'a', type: 'CharacterDevice' }, 'only files, folders and links'],
    ['a pipe', { path: 'a', type: 'FIFO' }, 'only files, folders and links'],
  ])('is refused for %s', async (_, entry, message) => {
    for (const content of [tar({ path: 'fine' }, entry), gzipSync(tar(entry))]) {
      await expect(pass(content)).rejects.toThrow(message);
    }
  });

  it('is refused where its files are larger than allowed, before they are read', async () => {
    const bomb = gzipSync(tar({ path: 'zeros', content: '\0'.repeat(5_000_000) }));
    expect(bomb.length).toBeLessThan(10_000);
    await expect(pass(bomb)).rejects.toThrow('larger than 0 MiB');
    await expect(pass(bomb, { maxBytes: 5_000_000 })).resolves.toHaveLength(bomb.length);
  });

  it('is refused where it is none, or not whole', async () => {
    await expect(pass(Buffer.from('no archive at all'.repeat(100)))).rejects.toThrow('cannot be read');
    await expect(pass(good.subarray(0, 2_000))).rejects.toThrow('cannot be read');
    await expect(pass(gzipSync(good).subarray(0, 60))).rejects.toThrow('cannot be read');
    await expect(pass(Buffer.alloc(0))).rejects.toThrow('cannot be read');
  });

  it('passes a failure of its source on', async () => {
    async function* broken() {
      yield good.subarray(0, 512);
      throw new Error('the line went dead');
    }
    const reading = async () => {
      for await (const _ of checkedArchive(broken(), 1_000));
    };
    await expect(reading()).rejects.toThrow('the line went dead');
  });
});
