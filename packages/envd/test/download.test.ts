import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
let directory: string;
let counter = 0;

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

/** A GET whose body is given as it came over the wire. */
function getRaw(url: string, headers: Record<string, string>) {
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: Buffer }>(
    (resolve, reject) => {
      httpRequest(url, { headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      })
        .on('error', reject)
        .end();
    },
  );
}

describe('download', () => {
  it('gives the bytes with their headers', async () => {
    const path = join(directory, 'page.html');
    writeFileSync(path, '<p>hi</p>');
    const { status, headers, body } = await getRaw(address(path), {});
    expect(status).toBe(200);
    expect(body.toString()).toBe('<p>hi</p>');
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-length': '9',
      'content-disposition': 'inline; filename=page.html',
      'accept-ranges': 'bytes',
      vary: 'Accept-Encoding',
    });
    expect(headers['last-modified']).toBeDefined();
  });

  it('answers an empty file with a length of 0, so that the SDK gives empty text', async () => {
    const path = join(directory, 'empty');
    writeFileSync(path, '');
    const { headers } = await getRaw(address(path), { 'Accept-Encoding': 'gzip' });
    expect(headers['content-length']).toBe('0');
    expect(await daemon.sandbox.files.read(path)).toBe('');
  });

  it('compresses for those who accept it', async () => {
    const path = join(directory, 'text');
    writeFileSync(path, 'x'.repeat(100_000));
    const packed = await getRaw(address(path), { 'Accept-Encoding': 'gzip, deflate' });
    expect(packed.headers['content-encoding']).toBe('gzip');
    expect(packed.headers['content-length']).toBeUndefined();
    expect(gunzipSync(packed.body).toString()).toBe('x'.repeat(100_000));
    expect(
      (await getRaw(address(path), { 'Accept-Encoding': 'gzip;q=0' })).headers['content-encoding'],
    ).toBeUndefined();
    expect((await getRaw(address(path), { 'Accept-Encoding': 'identity;q=0, br' })).status).toBe(406);
    expect(await daemon.sandbox.files.read(path)).toHaveLength(100_000);
  });

  it('gives parts, and nothing if nothing has changed', async () => {
    const path = join(directory, 'digits');
    writeFileSync(path, '0123456789');
    const part = await getRaw(address(path), { Range: 'bytes=2-4', 'Accept-Encoding': 'gzip' });
    expect(part).toMatchObject({ status: 206 });
    expect(part.body.toString()).toBe('234');
    expect(part.headers['content-range']).toBe('bytes 2-4/10');
    expect((await getRaw(address(path), { Range: 'bytes=-3' })).body.toString()).toBe('789');
    const beyond = await getRaw(address(path), { Range: 'bytes=10-' });
    expect(beyond.status).toBe(416);
    expect(beyond.headers['content-range']).toBe('bytes */10');
    const modified = String(part.headers['last-modified']);
    expect((await getRaw(address(path), { 'If-Modified-Since': modified })).status).toBe(304);
    expect((await getRaw(address(path), { 'If-None-Match': String(part.headers.etag) })).status).toBe(304);
    expect((await getRaw(address(path), { Range: 'bytes=0-1', 'If-Range': '"another"' })).status).toBe(200);
  });

  it.each([
    ['a missing file', 'nothing/here.txt', 404, "path '<home>/nothing/here.txt' does not exist"],
    ['a directory', '/etc', 400, "path '/etc' is a directory"],
    [
      'another user’s home by name',
      '~root/x',
      400,
      'error resolving path: cannot expand user-specific home dir',
    ],
  ])('of %s is refused', async (_case, path, status, message) => {
    const home = execFileSync('sh', ['-c', `eval echo ~${OTHER_USER}`], { encoding: 'utf8' }).trim();
    const response = await fetch(address(path));
    expect(response.status).toBe(status);
    expect(await response.text()).toBe(
      JSON.stringify({ code: status, message: message.replace('<home>', home) }),
    );
  });

  it('holds little memory however big the file and slow its reader', async () => {
    const path = join(directory, 'huge');
    execFileSync('truncate', ['-s', '2G', path]);
    const resident = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]);
    const before = resident();
    const response = await fetch(address(path), { headers: { 'Accept-Encoding': 'identity' } });
    const reader = response.body?.getReader();
    await reader?.read();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(resident() - before).toBeLessThan(60_000);
    await reader?.cancel();
  });
});
