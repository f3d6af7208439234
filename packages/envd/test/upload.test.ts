import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chownSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually, OTHER_USER, openFilesOf, startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
let directory: string;
let counter = 0;
const otherUid = Number(execFileSync('id', ['-u', OTHER_USER], { encoding: 'utf8' }));

beforeAll(async () => {
  daemon = await startTestDaemon();
});
afterAll(() => daemon?.stop());
beforeEach(() => {
  directory = join(daemon.directory, `case-${++counter}`);
  mkdirSync(directory);
});

const address = (path: string, query: Record<string, string> = {}) =>
  `${daemon.url}/files?${new URLSearchParams({ path, username: OTHER_USER, ...query })}`;

const put = (path: string, body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}) =>
  fetch(address(path), {
    method: 'POST',
    headers: { 'Content-Type': 'application/octet-stream', ...headers },
    body,
  });

describe('upload', () => {
  it('writes for the user, with the directories above', async () => {
    const path = join(directory, 'a/b/file.txt');
    const info = await daemon.sandbox.files.write(path, 'text', { user: OTHER_USER });
    expect(info).toMatchObject({ path, name: 'file.txt', type: 'file' });
    expect(readFileSync(path, 'utf8')).toBe('text');
    expect(lstatSync(path)).toMatchObject({ uid: otherUid, mode: 0o100644 });
    expect(lstatSync(join(directory, 'a'))).toMatchObject({ uid: otherUid, mode: 0o040755 });
  });

  it('replaces a file, keeps its mode and takes over its owner', async () => {
    const path = join(directory, 'script');
    writeFileSync(path, 'longer than before', { mode: 0o755 });
    await daemon.sandbox.files.write(path, 'short', { user: OTHER_USER });
    expect(readFileSync(path, 'utf8')).toBe('short');
    expect(lstatSync(path)).toMatchObject({ uid: otherUid, mode: 0o100755 });
  });

  it('writes several files at once, each where its full name says', async () => {
    const names = ['one', 'deep/er/two', 'spa ce/ünï'];
    const written = await daemon.sandbox.files.write(
      names.map((name) => ({ path: join(directory, name), data: `content of ${name}` })),
    );
    expect(written.map((file) => file.path)).toEqual(names.map((name) => join(directory, name)));
    for (const name of names) expect(readFileSync(join(directory, name), 'utf8')).toBe(`content of ${name}`);
  });

  it('takes many bytes whole, raw and as a form', async () => {
    const bytes = randomBytes(20_000_000);
    const digest = createHash('sha256').update(bytes).digest('hex');
    const path = join(directory, 'raw');
    expect((await put(path, new Uint8Array(bytes))).status).toBe(200);
    expect(createHash('sha256').update(readFileSync(path)).digest('hex')).toBe(digest);
    await daemon.sandbox.files.write(join(directory, 'form'), new Blob([new Uint8Array(bytes)]), {
      useOctetStream: false,
    });
    expect(
      createHash('sha256')
        .update(readFileSync(join(directory, 'form')))
        .digest('hex'),
    ).toBe(digest);
  });

  it('decompresses gzip and refuses other encodings and broken ones', async () => {
    const path = join(directory, 'packed');
    expect(
      (await put(path, new Uint8Array(gzipSync('unpacked')), { 'Content-Encoding': 'gzip' })).status,
    ).toBe(200);
    expect(readFileSync(path, 'utf8')).toBe('unpacked');
    expect((await put(path, 'x', { 'Content-Encoding': 'br' })).status).toBe(400);
    const broken = await put(path, 'this is not gzip', { 'Content-Encoding': 'gzip' });
    expect(broken.status).toBe(400);
    const cut = await put(path, new Uint8Array(gzipSync(randomBytes(100_000)).subarray(0, 50_000)), {
      'Content-Encoding': 'gzip',
    });
    expect(cut.status).toBe(400);
  });

  it('keeps metadata, replaces it with the next upload and shows it in listings', async () => {
    const path = join(directory, 'tagged');
    const first = await put(path, 'x', { 'X-Metadata-Source': 'agent', 'X-Metadata-b': '2' });
    expect(await first.json()).toEqual([
      { path, name: 'tagged', type: 'file', metadata: { source: 'agent', b: '2' } },
    ]);
    expect((await daemon.rpc('filesystem.Filesystem/Stat', { path })).body.entry).toMatchObject({
      metadata: { source: 'agent', b: '2' },
    });
    await put(path, 'x', { 'X-Metadata-c': '3' });
    expect((await daemon.rpc('filesystem.Filesystem/Stat', { path })).body.entry?.metadata).toEqual({
      c: '3',
    });
    await put(path, 'x');
    expect((await daemon.rpc('filesystem.Filesystem/Stat', { path })).body.entry?.metadata).toBeUndefined();
    const tooMuch = await put(path, 'x', { 'X-Metadata-big': 'x'.repeat(4100) });
    expect(tooMuch.status).toBe(400);
    expect(await tooMuch.json()).toMatchObject({ message: expect.stringMatching(/^invalid metadata: /) });
  });

  it.each([
    ['a directory', () => put(directory, 'x'), 400, /^path is a directory: /],
    ['below a file', () => put('/etc/passwd/x', 'x'), 500, /ENOTDIR/],
    ['a name with a NUL', () => put('/tmp/a\0b', 'x'), 400, /NUL/],
    [
      'no path',
      () =>
        fetch(`${daemon.url}/files`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/octet-stream' },
          body: 'x',
        }),
      400,
      /^path query parameter is required for raw body upload$/,
    ],
    ['another content type', () => put('/tmp/x', 'x', { 'Content-Type': 'text/plain' }), 400, /content type/],
    [
      'a form without boundary',
      () => put('/tmp/x', 'x', { 'Content-Type': 'multipart/form-data' }),
      400,
      /multipart/,
    ],
    [
      'an unknown user',
      () => fetch(address('/tmp/x', { username: 'nobody-knows' }), { method: 'POST', body: 'x' }),
      401,
      /^error looking up user 'nobody-knows': /,
    ],
  ])('to %s is refused', async (_case, send, status, message) => {
    const response = await send();
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    const body = (await response.json()) as { code: number; message: string };
    expect(body.code).toBe(status);
    expect(body.message).toMatch(message);
  });

  it('refuses the same path twice in one request, after writing the first', async () => {
    const path = join(directory, 'twice');
    const form = new FormData();
    form.append('file', new Blob(['first']), path);
    form.append('file', new Blob(['second']), path);
    const response = await fetch(`${daemon.url}/files`, { method: 'POST', body: form });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      message: expect.stringContaining(
        `you cannot upload multiple files to the same path '${path}' in one upload request, only the first specified file was uploaded`,
      ),
    });
    expect(readFileSync(path, 'utf8')).toBe('first');
  });

  it('says so when the disk is full, and goes on', async () => {
    const small = join(directory, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
    try {
      const response = await put(join(small, 'big'), new Uint8Array(5_000_000));
      expect(response.status).toBe(507);
      expect(await response.json()).toMatchObject({
        code: 507,
        message: expect.stringMatching(/not enough disk space available$/),
      });
    } finally {
      execFileSync('umount', [small]);
    }
    expect((await put(join(directory, 'ok'), 'x')).status).toBe(200);
  });

  it('leaves no open file behind when its client breaks off', async () => {
    const path = join(directory, 'broken-off');
    const socket = connect(Number(new URL(daemon.url).port), '127.0.0.1');
    const boundary = 'b0undary';
    socket.write(
      `POST /files HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nContent-Type: multipart/form-data; boundary=${boundary}\r\n\r\n` +
        `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${path}"\r\n\r\nsome bytes`,
    );
    const openFiles = () => openFilesOf(daemon.pid);
    await eventually(() => openFiles().includes(path), 'the open file');
    socket.destroy();
    await eventually(() => !openFiles().includes(path), 'the file to be closed');
  });
});

describe('compose', () => {
  const compose = async (body: object) => {
    const response = await fetch(`${daemon.url}/files/compose`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: OTHER_USER, ...body }),
    });
    return { status: response.status, body: (await response.json()) as { message?: string } };
  };

  it('joins files in order, deletes them and gives the whole to the user', async () => {
    const parts = ['one ', 'two ', 'three'].map((text, i) => {
      const path = join(directory, `part${i}`);
      writeFileSync(path, text);
      return path;
    });
    const destination = join(directory, 'new/whole');
    expect(await compose({ source_paths: parts, destination })).toEqual({
      status: 200,
      body: { path: destination, name: 'whole', type: 'file' },
    });
    expect(readFileSync(destination, 'utf8')).toBe('one two three');
    expect(lstatSync(destination).uid).toBe(otherUid);
    for (const part of parts) expect(() => lstatSync(part)).toThrow(/ENOENT/);
  });

  it('refuses what cannot be joined and leaves everything as it was', async () => {
    const path = join(directory, 'kept');
    writeFileSync(path, 'kept');
    chownSync(path, 0, 0);
    const destination = join(directory, 'whole');
    expect((await compose({ source_paths: [], destination })).status).toBe(400);
    expect((await compose({ source_paths: [path] })).status).toBe(400);
    expect((await compose({ source_paths: [path], destination: path })).status).toBe(400);
    expect((await compose({ source_paths: [path, '/tmp'], destination })).status).toBe(400);
    expect((await compose({ source_paths: [path, '/no/such'], destination })).status).toBe(404);
    expect(readFileSync(path, 'utf8')).toBe('kept');
    expect(() => lstatSync(destination)).toThrow(/ENOENT/);
  });
});
