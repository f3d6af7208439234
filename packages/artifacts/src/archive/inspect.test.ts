import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { create } from 'tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BLOCK, changed, END, entry, pax, type TarEntry, tar } from '../../test/tar.ts';
import { ArchiveError } from './archive-error.ts';
import { inspectArchive } from './inspect.ts';
import { TarWalk } from './tar-walk.ts';

const MIB = 1024 ** 2;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-archive-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function inspect(content: Buffer, maxBytes = MIB): Promise<void> {
  const file = join(dir, 'archive');
  await writeFile(file, content);
  inspectArchive(file, maxBytes);
}

/** Of a plain archive and of the same one compressed. */
async function refused(content: Buffer, message: string, maxBytes?: number): Promise<void> {
  for (const sent of [content, gzipSync(content)]) {
    await expect(inspect(sent, maxBytes)).rejects.toThrow(message);
  }
}

const good = tar(
  { path: 'folder', type: 'Directory' },
  { path: 'folder/file..txt', content: 'x'.repeat(5_000) },
  { path: 'folder/link', type: 'SymbolicLink', linkpath: '/usr/bin/env' },
  { path: 'folder/same', type: 'Link', linkpath: 'folder/file..txt' },
  { path: `${'deep/'.repeat(25)}file` },
);

describe('an archive that is looked at', () => {
  it('is taken, plain and compressed, with the customary padding', async () => {
    for (const content of [good, tar(), Buffer.concat([good, Buffer.alloc(10_240)])]) {
      await inspect(content);
      await inspect(gzipSync(content));
    }
  });

  it('is taken as the SDK packs it, with names of any length', async () => {
    const names = [`${'long/'.repeat(60)}file`, 'ö'.repeat(100), 'file'];
    for (const name of names) {
      await mkdir(join(dir, 'in', name, '..'), { recursive: true });
      await writeFile(join(dir, 'in', name), 'content');
    }
    for (const options of [{}, { gzip: true }, { portable: true, gzip: true }]) {
      const file = join(dir, 'packed');
      await create({ ...options, file, cwd: join(dir, 'in') }, ['.']);
      inspectArchive(file, MIB);
    }
  });

  it.each<[string, TarEntry, string]>([
    ['an absolute name', { path: '/etc/passwd', content: 'x' }, 'outside of its folder'],
    ['a name that climbs', { path: 'a/../../b', content: 'x' }, 'outside of its folder'],
    ['a hard link that climbs', { path: 'a', type: 'Link', linkpath: '../shadow' }, 'leads outside'],
    ['an absolute hard link', { path: 'a', type: 'Link', linkpath: '/etc/shadow' }, 'leads outside'],
    ['a link with content', { path: 'a', type: 'Link', linkpath: 'b', content: 'x' }, 'link with content'],
    ['a device', { path: 'a', type: 'CharacterDevice' }, 'only files, folders and links'],
    ['a pipe', { path: 'a', type: 'FIFO' }, 'only files, folders and links'],
  ])('is refused for %s', (_, bad, message) => refused(tar({ path: 'fine' }, bad), message));

  it.each<[string, Buffer[], string]>([
    ['a climbing pax name', [pax({ path: '../x' }, 'ExtendedHeader'), entry({ path: 'a' })], 'outside'],
    [
      'a climbing long name',
      [entry({ path: 'L', type: 'NextFileHasLongPath', content: '../x\0' }), entry({ path: 'a' })],
      'outside',
    ],
    [
      'a climbing long link',
      [
        entry({ path: 'K', type: 'NextFileHasLongLinkpath', content: '/x\0' }),
        entry({ path: 'a', type: 'Link', linkpath: 'b' }),
      ],
      'leads outside',
    ],
    ['a pax header for nothing', [pax({ path: 'x' }, 'ExtendedHeader')], 'belongs to no entry'],
    [
      'a pax record that lies about its length',
      [entry({ path: 'p', type: 'ExtendedHeader', content: '999 path=x\n' }), entry({ path: 'a' })],
      'damaged',
    ],
    [
      'a pax record of no length',
      [entry({ path: 'p', type: 'ExtendedHeader', content: '0 a=b\n' }), entry({ path: 'a' })],
      'damaged',
    ],
    [
      'a negative pax size',
      [pax({ size: '-1' }, 'ExtendedHeader'), entry({ path: 'a' })],
      'a size that is none',
    ],
    [
      'a pax size in floating point',
      [pax({ size: '1e99' }, 'ExtendedHeader'), entry({ path: 'a' })],
      'a size that is none',
    ],
    [
      'a file with holes',
      [pax({ 'GNU.sparse.map': '0,1' }, 'ExtendedHeader'), entry({ path: 'a' })],
      'holes',
    ],
    ['a file with holes of old', [changed(entry({ path: 'a' }), 156, 'S')], 'file with holes'],
    ['a negative size', [changed(entry({ path: 'a' }), 124, Buffer.alloc(12, 0xff))], 'negative'],
    [
      'a size beyond all numbers',
      [changed(entry({ path: 'a' }), 124, Buffer.from([0x80, ...Buffer.alloc(11, 0xff)]))],
      'too large',
    ],
    ['a size that is none', [changed(entry({ path: 'a' }), 124, 'size')], 'number that is none'],
    [
      'a long name of megabytes',
      [entry({ path: 'L', type: 'NextFileHasLongPath', content: 'x'.repeat(70_000) })],
      'longer than 65536',
    ],
    [
      'a name that no disk takes',
      [pax({ path: 'x'.repeat(300) }, 'ExtendedHeader'), entry({ path: 'a' })],
      'longer name',
    ],
    [
      'a path that no disk takes',
      [pax({ path: 'x/'.repeat(5_000) }, 'ExtendedHeader'), entry({ path: 'a' })],
      'longer name',
    ],
    [
      'headers without end for one entry',
      Array.from({ length: 9 }, () => pax({ comment: 'x' }, 'GlobalExtendedHeader')),
      'more than 8 headers',
    ],
    ['a header after a block of zeros', [Buffer.alloc(BLOCK), entry({ path: 'a' })], 'data after its end'],
  ])('is refused for %s', (_, blocks, message) => refused(Buffer.concat([...blocks, END]), message));

  it('is refused for what stands behind its end', async () => {
    await refused(Buffer.concat([good, Buffer.from('x')]), 'data after its end');
    await refused(Buffer.concat([good, Buffer.alloc(2 * MIB)]), 'more than 1 MiB of padding', 9 * MIB);
    await refused(Buffer.concat([good, good]), 'data after its end');
    const zipped = gzipSync(good);
    for (const more of [
      Buffer.alloc(1),
      Buffer.alloc(100_000),
      gzipSync(Buffer.alloc(BLOCK)),
      Buffer.from('x'),
    ]) {
      await expect(inspect(Buffer.concat([zipped, more]))).rejects.toThrow('cannot be read');
    }
  });

  it('is refused if it unpacks to more than allowed, whatever it is that does', async () => {
    const zeros = tar({ path: 'zeros', content: Buffer.alloc(5 * MIB) });
    await refused(zeros, 'unpacks to more than 1 MiB');
    await inspect(gzipSync(zeros), 6 * MIB);
    // Refused for what it says, without a byte of the content.
    await expect(inspect(entry({ path: 'a', size: 3 * MIB }))).rejects.toThrow('unpacks to more than 1 MiB');
    await refused(
      Buffer.concat(Array.from({ length: 3_000 }, () => entry({ path: 'a' }))),
      'more than 1 MiB',
    );
    const members = gzipSync(entry({ path: 'a', content: Buffer.alloc(1_000) }));
    await expect(inspect(Buffer.concat(Array(2_000).fill(members)))).rejects.toThrow('more than 1 MiB');
  });

  it('is refused if it is none, or not whole', async () => {
    await expect(inspect(Buffer.from('no archive at all'.repeat(100)))).rejects.toThrow('cannot be read');
    await expect(inspect(Buffer.alloc(0))).rejects.toThrow('cannot be read');
    for (let length = 0; length <= good.length - BLOCK - 1; length += 500) {
      await expect(inspect(good.subarray(0, length))).rejects.toThrow(ArchiveError);
    }
    const zipped = gzipSync(good);
    for (let length = 0; length < zipped.length; length++) {
      await expect(inspect(zipped.subarray(0, length))).rejects.toThrow(ArchiveError);
    }
  });
});

describe('the walk over an archive', () => {
  it('takes pieces of any size', () => {
    for (const size of [1, 7, BLOCK, 10_000]) {
      const walk = new TarWalk(MIB);
      for (let at = 0; at < good.length; at += size) walk.write(good.subarray(at, at + size));
      walk.end();
    }
  });

  it('takes a file of gigabytes in small pieces', () => {
    // As gzip gives them out. Joining each with those before it would take hours.
    const walk = new TarWalk(Number.MAX_SAFE_INTEGER);
    const piece = Buffer.alloc(16_384);
    walk.write(entry({ path: 'a', size: 4_096 * MIB }));
    for (let given = 0; given < 4_096 * MIB; given += piece.length) walk.write(piece);
    walk.write(END);
    walk.end();
  });

  it('ends with a refusal or the end for any bytes', () => {
    const headers = [entry({ path: 'a' }), pax({ path: 'x' }, 'ExtendedHeader'), END, Buffer.from('x')];
    const part = fc.oneof(fc.constantFrom(...headers), fc.uint8Array({ maxLength: 600 }).map(Buffer.from));
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const walk = new TarWalk(MIB);
        try {
          for (const bytes of parts) walk.write(bytes);
          walk.end();
        } catch (error) {
          expect(error).toBeInstanceOf(ArchiveError);
        }
      }),
    );
  });
});
