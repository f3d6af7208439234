import { Readable } from 'node:stream';
import { FileNotFoundError, InvalidArgumentError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
const bytes = new Uint8Array(70_000).map((_, index) => (index * 7 + (index >> 8)) % 256);
const text = 'line one\nzwei: äöü\n三: 漢字 🏝\r\n\ttab\0nul\n';

/** A web stream that gives `data` in small pieces. */
const streamOf = (data: Uint8Array) =>
  Readable.toWeb(
    Readable.from(
      (function* () {
        for (let at = 0; at < data.length; at += 9_000) yield data.subarray(at, at + 9_000);
      })(),
    ),
  ) as ReadableStream;

async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

describe('write', () => {
  it('of text gives name, type and absolute path', async () => {
    expect(await sandbox.current.files.write('note.txt', text)).toEqual({
      name: 'note.txt',
      type: 'file',
      path: '/home/user/note.txt',
    });
    expect(await sandbox.current.files.read('note.txt')).toBe(text);
  });

  it.each([
    ['an ArrayBuffer', () => bytes.buffer as ArrayBuffer],
    ['a Blob', () => new Blob([bytes])],
    ['a stream', () => streamOf(bytes)],
  ])('of %s keeps every byte', async (_, data) => {
    const { files } = sandbox.current;
    await files.write('data.bin', data());
    expect(Buffer.compare(await files.read('data.bin', { format: 'bytes' }), bytes)).toBe(0);
    await files.remove('data.bin');
  });

  it.each([
    ['gzip', { gzip: true }],
    ['octet-stream', { useOctetStream: true }],
    ['multipart', { useOctetStream: false }],
    ['octet-stream and gzip', { useOctetStream: true, gzip: true }],
  ])('as %s keeps every byte', async (_, opts) => {
    const { files } = sandbox.current;
    const info = await files.write('sent.bin', bytes.buffer as ArrayBuffer, opts);
    expect(info).toEqual({ name: 'sent.bin', type: 'file', path: '/home/user/sent.bin' });
    expect(Buffer.compare(await files.read('sent.bin', { format: 'bytes' }), bytes)).toBe(0);
    await files.remove('sent.bin');
  });

  it('of a stream with gzip keeps every byte', async () => {
    const { files } = sandbox.current;
    await files.write('streamed.bin', streamOf(bytes), { gzip: true });
    expect(Buffer.compare(await files.read('streamed.bin', { format: 'bytes' }), bytes)).toBe(0);
  });

  it('replaces what was there, and keeps its mode', async () => {
    const { files, commands } = sandbox.current;
    await files.write('script.sh', 'echo a long first version');
    await commands.run('chmod 750 script.sh');
    await files.write('script.sh', 'short');
    expect(await files.read('script.sh')).toBe('short');
    expect((await files.getInfo('script.sh')).mode).toBe(0o750);
  });

  it('makes the folders on the way, as the user', async () => {
    const { files, commands } = sandbox.current;
    await files.write('/home/user/new/deep/er/file', 'x');
    const { stdout } = await commands.run('stat -c "%U:%G %a %n" new new/deep new/deep/er new/deep/er/file');
    expect(stdout.trimEnd().split('\n')).toEqual([
      'user:user 755 new',
      'user:user 755 new/deep',
      'user:user 755 new/deep/er',
      'user:user 644 new/deep/er/file',
    ]);
  });

  it('as another user makes files of that user, from that user’s home', async () => {
    const { files, commands } = sandbox.current;
    expect(await files.write('of-root.txt', 'x', { user: 'root' })).toMatchObject({
      path: '/root/of-root.txt',
    });
    const { stdout } = await commands.run('stat -c "%U %G %a" /root/of-root.txt', { user: 'root' });
    expect(stdout).toBe('root root 644\n');
  });

  it('of nothing makes an empty file', async () => {
    const { files } = sandbox.current;
    for (const opts of [{}, { useOctetStream: true }, { gzip: true }]) {
      await files.write('empty', '', opts);
      expect((await files.getInfo('empty')).size).toBe(0);
      expect(await files.read('empty')).toBe('');
    }
  });

  it('goes through a symbolic link', async () => {
    const { files, commands } = sandbox.current;
    await commands.run('echo old > target && ln -s target link');
    await files.write('link', 'new');
    expect(await files.read('target')).toBe('new');
    expect((await files.getInfo('link')).symlinkTarget).toBe('/home/user/target');
  });

  it('many times to one file leaves one of the texts, whole', async () => {
    const { files } = sandbox.current;
    const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(1_000));
    await Promise.all(texts.map((content) => files.write('contended', content)));
    expect((await files.read('contended')).length).toBe(1_000);
  });
});

describe('write of several files', () => {
  it('gives one answer a file, in order', async () => {
    const { files } = sandbox.current;
    const entries = [
      { path: 'many/a.txt', data: 'a' },
      { path: '/home/user/many/deep/b.bin', data: bytes.buffer as ArrayBuffer },
      { path: '/tmp/many c.txt', data: new Blob(['c']) },
    ];
    const paths = ['/home/user/many/a.txt', '/home/user/many/deep/b.bin', '/tmp/many c.txt'];
    expect((await files.write(entries)).map(({ path }) => path)).toEqual(paths);
    expect((await files.writeFiles(entries, { useOctetStream: true })).map(({ path }) => path)).toEqual(
      paths,
    );
    expect(await files.read('many/a.txt')).toBe('a');
    expect(await files.read('/home/user/many/deep/b.bin', { format: 'bytes' })).toEqual(bytes);
    expect(await files.read('/tmp/many c.txt')).toBe('c');
  });

  it('of none is nothing', async () => {
    expect(await sandbox.current.files.write([])).toEqual([]);
  });

  it('of 100 files works', async () => {
    const { files } = sandbox.current;
    const entries = Array.from({ length: 100 }, (_, index) => ({
      path: `hundred/${index}`,
      data: `${index}`,
    }));
    expect(await files.write(entries)).toHaveLength(100);
    expect(await files.list('hundred')).toHaveLength(100);
    expect(await files.read('hundred/73')).toBe('73');
  });

  it('refuses one path given twice', async () => {
    const twice = ['1', '2'].map((data) => ({ path: 'same.txt', data }));
    const error = await rejection(sandbox.current.files.write(twice));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toContain(
      "you cannot upload multiple files to the same path '/home/user/same.txt' in one upload request",
    );
  });
});

describe('metadata', () => {
  const metadata = { Author: 'Ada L.', purpose: 'test=1; "x"' };
  const kept = { author: 'Ada L.', purpose: 'test=1; "x"' };

  it.each([
    ['multipart', {}],
    ['octet-stream', { useOctetStream: true }],
  ])('given at a write as %s is told by it, by getInfo, list and rename', async (_, opts) => {
    const { files } = sandbox.current;
    expect(await files.write('meta/tagged', 'x', { ...opts, metadata })).toMatchObject({ metadata: kept });
    expect((await files.getInfo('meta/tagged')).metadata).toEqual(kept);
    expect((await files.list('meta')).map((entry) => entry.metadata)).toEqual([kept]);
    expect((await files.rename('meta/tagged', 'meta/moved')).metadata).toEqual(kept);
    await files.remove('meta');
  });

  it('is replaced as a whole by the next write', async () => {
    const { files } = sandbox.current;
    await files.write('retagged', 'x', { metadata });
    await files.write('retagged', 'x', { metadata: { other: '1' } });
    expect((await files.getInfo('retagged')).metadata).toEqual({ other: '1' });
    await files.write('retagged', 'x');
    expect((await files.getInfo('retagged')).metadata).toBeUndefined();
  });

  it('is set on every file of a write of several', async () => {
    const { files } = sandbox.current;
    const entries = ['m1', 'm2'].map((path) => ({ path, data: path }));
    await files.write(entries, { metadata: { batch: '7' } });
    for (const { path } of entries) expect((await files.getInfo(path)).metadata).toEqual({ batch: '7' });
  });

  it('that is too long is refused', async () => {
    const error = await rejection(
      sandbox.current.files.write('big-meta', 'x', { metadata: { k: 'v'.repeat(4_096) } }),
    );
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toContain('invalid metadata');
    expect(await sandbox.current.files.exists('big-meta')).toBe(false);
  });
});

describe('read', () => {
  it('gives text, bytes, a Blob or a stream', async () => {
    const { files } = sandbox.current;
    await files.write('forms', text);
    const expected = new TextEncoder().encode(text);
    expect(await files.read('forms')).toBe(text);
    expect(await files.read('forms', { format: 'text' })).toBe(text);
    expect(await files.read('forms', { format: 'bytes' })).toEqual(expected);
    const blob = await files.read('forms', { format: 'blob' });
    expect(new Uint8Array(await blob.arrayBuffer())).toEqual(expected);
    expect(await collect(await files.read('forms', { format: 'stream' }))).toEqual(expected);
  });

  it('compressed gives the same', async () => {
    const { files } = sandbox.current;
    await files.write('packed', text.repeat(2_000));
    expect(await files.read('packed', { gzip: true })).toBe(text.repeat(2_000));
    const packed = await files.read('packed', { gzip: true, format: 'stream' });
    expect(new TextDecoder().decode(await collect(packed))).toBe(text.repeat(2_000));
  });

  it('of an empty file gives nothing in every form', async () => {
    const { files, commands } = sandbox.current;
    await commands.run(': > hollow');
    expect(await files.read('hollow')).toBe('');
    expect(await files.read('hollow', { format: 'bytes' })).toEqual(new Uint8Array(0));
    expect((await files.read('hollow', { format: 'blob' })).size).toBe(0);
    expect(await collect(await files.read('hollow', { format: 'stream' }))).toEqual(new Uint8Array(0));
  });

  it('of a stream can be given up half way', async () => {
    const { files, commands } = sandbox.current;
    await commands.run('head -c 20000000 /dev/zero > long');
    const reader = (await files.read('long', { format: 'stream' })).getReader();
    expect((await reader.read()).value?.length).toBeGreaterThan(0);
    await reader.cancel();
    expect(await files.read('forms')).toBe(text);
  });

  it('sees what a command wrote, and the other way round', async () => {
    const { files, commands } = sandbox.current;
    await commands.run('printf "from a command" > shared');
    expect(await files.read('shared')).toBe('from a command');
    await files.write('shared', 'from the SDK');
    expect((await commands.run('cat shared')).stdout).toBe('from the SDK');
  });

  it('reaches what only root may read', async () => {
    expect(await sandbox.current.files.read('/etc/shadow')).toContain('root:');
  });

  it('reads files of /proc, whose size is not known before', async () => {
    expect(await sandbox.current.files.read('/proc/self/status')).toContain('Name:');
  });

  it('fails if there is no file', async () => {
    for (const format of ['text', 'bytes', 'blob', 'stream'] as const) {
      const error = await rejection(sandbox.current.files.read('no/such/file', { format } as never));
      expect(error).toBeInstanceOf(FileNotFoundError);
      expect((error as Error).message).toBe("path '/home/user/no/such/file' does not exist");
    }
  });

  it('fails for a directory', async () => {
    const error = await rejection(sandbox.current.files.read('/etc'));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toBe("path '/etc' is a directory");
  });
});
