import { getSignature, type Sandbox } from 'e2b';
import { describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { connection, newSandbox, sharedSandbox, withSandbox } from './sandbox.ts';

/*
 * With a sandbox URL set, the SDK's signed URLs name no sandbox: the edge finds the one whose token the signature was
 * made with. Requests carry neither routing headers nor a token, as those of a browser.
 */
const sandbox = sharedSandbox();
const other = sharedSandbox();

const download = (url: string) =>
  fetch(url).then(async (answer) => ({ status: answer.status, text: await answer.text() }));

async function upload(url: string, name: string, content: string) {
  const form = new FormData();
  form.append('file', new Blob([content]), name);
  const answer = await fetch(url, { method: 'POST', body: form });
  return { status: answer.status, text: await answer.text() };
}

/** The URL with some of its query's values replaced; null takes one away. */
function changed(url: string, values: Record<string, string | null>): string {
  const result = new URL(url);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) result.searchParams.delete(name);
    else result.searchParams.set(name, value);
  }
  return result.toString();
}

const token = (of: Sandbox) => (of as unknown as { envdAccessToken: string }).envdAccessToken;

describe('a download URL', () => {
  it('gives the file of its own sandbox, and no other’s', async () => {
    for (const [name, { current }] of [
      ['one', sandbox],
      ['other', other],
    ] as const) {
      await current.files.write('whose.txt', name);
    }
    const urls = await Promise.all([sandbox, other].map(({ current }) => current.downloadUrl('whose.txt')));
    expect(urls.every((url) => url.startsWith(connection.sandboxUrl))).toBe(true);
    expect((await Promise.all(urls.map(download))).map(({ text }) => text)).toEqual(['one', 'other']);
  });

  it('takes paths and contents of all kinds', async () => {
    const { current } = sandbox;
    const path = '/home/user/a b/ü 漢+&=?#%20🏝.txt';
    await current.files.write(path, 'ünï', { useOctetStream: true });
    expect(await download(await current.downloadUrl(path))).toEqual({ status: 200, text: 'ünï' });
  });

  it('works for a while if it expires', async () => {
    const { current } = sandbox;
    await current.files.write('soon.txt', 'still');
    const url = await current.downloadUrl('soon.txt', { useSignatureExpiration: 60 });
    expect(Number(new URL(url).searchParams.get('signature_expiration'))).toBeGreaterThan(Date.now() / 1_000);
    expect(await download(url)).toEqual({ status: 200, text: 'still' });
  });

  it('reads as the user it was made for', async () => {
    const { current } = sandbox;
    await current.files.write('of-root.txt', 'root’s', { user: 'root' });
    const url = await current.downloadUrl('of-root.txt', { user: 'root' });
    expect(await download(url)).toEqual({ status: 200, text: 'root’s' });
  });

  it('serves a part of a file', async () => {
    const { current } = sandbox;
    await current.files.write('digits.txt', '0123456789');
    const url = await current.downloadUrl('digits.txt');
    const answer = await fetch(url, { headers: { Range: 'bytes=2-4' } });
    expect([answer.status, await answer.text()]).toEqual([206, '234']);
    expect(answer.headers.get('content-range')).toBe('bytes 2-4/10');
  });

  it('tells the file’s name and kind, and lets any page ask', async () => {
    const { current } = sandbox;
    await current.files.write('page.html', '<h1>x</h1>');
    const answer = await fetch(await current.downloadUrl('page.html'), {
      headers: { Origin: 'https://example.org' },
    });
    expect(answer.headers.get('content-type')).toContain('text/html');
    expect(answer.headers.get('content-disposition')).toContain('filename=page.html');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    await answer.text();
  });

  it('of a file that is not there is a 404', async () => {
    expect(await download(await sandbox.current.downloadUrl('/home/user/demo/test.txt'))).toEqual({
      status: 404,
      text: `{"code":404,"message":"path '/home/user/demo/test.txt' does not exist"}`,
    });
  });
});

describe('an upload URL', () => {
  it('takes a file to the path it names', async () => {
    const { current } = sandbox;
    const answer = await upload(await current.uploadUrl('up/named.txt'), 'ignored', 'content');
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toEqual([
      { path: '/home/user/up/named.txt', name: 'named.txt', type: 'file' },
    ]);
    expect(await current.files.read('up/named.txt')).toBe('content');
  });

  it('takes files to the paths they name where it names none', async () => {
    const { current } = sandbox;
    expect((await upload(await current.uploadUrl(), '/tmp/from form.txt', 'content')).status).toBe(200);
    expect(await current.files.read('/tmp/from form.txt')).toBe('content');
  });

  it('writes as the user it was made for, while it lasts', async () => {
    const { current } = sandbox;
    const url = await current.uploadUrl('mine.txt', { user: 'root', useSignatureExpiration: 60 });
    expect((await upload(url, 'x', 'r')).status).toBe(200);
    expect(await current.files.getInfo('/root/mine.txt')).toMatchObject({ owner: 'root' });
  });
});

describe('a signed URL is refused', () => {
  it('when it has expired', async () => {
    const { current } = sandbox;
    await current.files.write('late.txt', 'x');
    const path = 'late.txt';
    const { signature, expiration } = await getSignature({
      path,
      operation: 'read',
      user: undefined,
      envdAccessToken: token(current),
      expirationInSeconds: -5,
    });
    const url = changed(await current.downloadUrl(path), {
      signature,
      signature_expiration: String(expiration),
    });
    const answer = await download(url);
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.text)).toEqual({ code: 401, message: 'signature is already expired' });
  });

  it.each<[string, Record<string, string | null>]>([
    ['another path', { path: '/etc/shadow' }],
    ['another user', { username: 'root' }],
    ['a later end', { signature_expiration: '4102444800' }],
    ['no end', { signature_expiration: null }],
    ['another signature', { signature: 'v1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
    ['no version', { signature: 'nonsense' }],
    ['an empty signature', { signature: '' }],
    ['no signature', { signature: null }],
  ])('with %s', async (_, values) => {
    const { current } = sandbox;
    await current.files.write('signed.txt', 'secret');
    const url = await current.downloadUrl('signed.txt', { useSignatureExpiration: 60 });
    const answer = await download(changed(url, values));
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(answer.text).not.toContain('secret');
    // Named by routing headers, the sandbox itself refuses, and says why.
    const routed = await fetch(changed(url, values), {
      headers: { 'E2b-Sandbox-Id': current.sandboxId, 'E2b-Sandbox-Port': '49983' },
    });
    expect(routed.status).toBe(401);
    const message =
      values.signature === null || values.signature === ''
        ? 'missing signature query parameter'
        : 'invalid signature';
    expect(await routed.json()).toEqual({ code: 401, message });
  });

  it('for the other direction', async () => {
    const { current } = sandbox;
    await current.files.write('both.txt', 'before');
    const answer = await upload(await current.downloadUrl('both.txt'), 'both.txt', 'after');
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect((await download(await current.uploadUrl('both.txt'))).status).toBeGreaterThanOrEqual(400);
    expect(await current.files.read('both.txt')).toBe('before');
  });

  it('once its sandbox is gone', async () => {
    const url = await withSandbox({}, async (short) => {
      await short.files.write('x', '1');
      const signed = await short.downloadUrl('x');
      expect((await download(signed)).status).toBe(200);
      return signed;
    });
    await until(
      'nothing is served',
      5_000,
      () => download(url),
      ({ status }) => status >= 400,
    );
  });
});

describe('a signed URL that names its sandbox in the host', () => {
  it('works, too, as SDKs without a sandbox URL make it', async () => {
    const { current } = sandbox;
    await current.files.write('hosted.txt', 'by host');
    const { search } = new URL(await current.downloadUrl('hosted.txt'));
    expect(await download(`http://${current.getHost(49_983)}/files${search}`)).toEqual({
      status: 200,
      text: 'by host',
    });
  });
});

describe('files without a signature', () => {
  it('are served to the holder of the token alone', async () => {
    const kept = await newSandbox();
    try {
      await kept.files.write('x', '1');
      const headers = { 'E2b-Sandbox-Id': kept.sandboxId, 'E2b-Sandbox-Port': '49983' };
      const url = `${connection.sandboxUrl}/files?path=x`;
      expect((await fetch(url, { headers })).status).toBe(401);
      const wrong = await fetch(url, { headers: { ...headers, 'X-Access-Token': token(sandbox.current) } });
      expect([wrong.status, await wrong.json()]).toEqual([
        401,
        { code: 401, message: 'access token present in header but does not match' },
      ]);
      const right = await fetch(url, { headers: { ...headers, 'X-Access-Token': token(kept) } });
      expect([right.status, await right.text()]).toEqual([200, '1']);
    } finally {
      await kept.kill();
    }
  });
});
