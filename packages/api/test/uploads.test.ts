import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { createDirectoryArtifacts, UploadSignatures } from '@islet/artifacts';
import { LOCAL_DEV, setProjectLimits } from '@islet/db';
import { Header } from 'tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

let api: Harness;
let now = Date.now();
beforeAll(async () => {
  api = await startHarness({ clock: { now: () => now, monotonic: () => performance.now() } });
});
afterAll(() => api.close());

function archive(path: string, content = 'hello'): Buffer {
  const header = Buffer.alloc(512);
  new Header({ path, type: 'File', mode: 0o644, size: content.length }).encode(header);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body, Buffer.alloc(1024)]);
}

let counter = 0;
const newHash = () => (++counter).toString(16).padStart(64, '0');

const address = (hash: string, template = api.baseTemplateId, key: string = LOCAL_DEV.apiKey) =>
  api.call('GET', `/templates/${template}/files/${hash}`, { key });

async function put(url: string, body: Buffer): Promise<{ status: number; message?: string }> {
  const answer = await fetch(url, { method: 'PUT', body });
  return { status: answer.status, ...((await answer.json()) as object) };
}

describe('uploading the files of COPY steps', () => {
  it('takes an archive at a signed address, and knows it for every template of the team', async () => {
    const hash = newHash();
    const { status, body } = await address(hash);
    expect(status).toBe(201);
    expect(body).toEqual({ present: false, url: expect.stringContaining(hash) });
    expect(body.url.startsWith(`${api.url}/`)).toBe(true);
    expect((await put(body.url, gzipSync(archive('a/b')))).status).toBe(200);
    const second = await api.template({});
    expect((await address(hash, second.templateId)).body.present).toBe(true);
    expect((await put((await address(hash)).body.url, archive('again'))).status).toBe(200);
    const other = await api.team('uploader');
    const theirs = await api.template({ teamId: other.id, namespace: other.slug });
    expect((await address(hash, theirs.templateId, other.key)).body.present).toBe(false);
  });

  it('takes one larger than other bodies may be, in pieces', async () => {
    const { body } = await address(newHash());
    const large = archive('large', 'x'.repeat(20 * 1024 * 1024));
    expect((await put(body.url, large)).status).toBe(200);
  });

  it('keeps no more than the team’s quota, with what is on its way counted', async () => {
    const { id, slug, key } = await api.team('hoarder');
    await setProjectLimits(api.db, id, { maxUploadMb: 2 });
    const { templateId } = await api.template({ teamId: id, namespace: slug });
    const upload = async () => {
      const { body } = await address(newHash(), templateId, key);
      return put(body.url, archive('large', 'x'.repeat(900_000)));
    };
    const answers = await Promise.all([upload(), upload(), upload(), upload()]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 403, 403]);
    const refused = await upload();
    expect(refused).toMatchObject({ status: 403, error_code: 'quota_exceeded' });
    expect(refused.message).toMatch(
      /quota is 2 MiB of uploaded files, of which 2 MiB are used: .*--uploads-mb <n>/,
    );
    // Others have their own.
    expect((await put((await address(newHash())).body.url, archive('other'))).status).toBe(200);
  });

  it('refuses addresses that were changed or have expired', async () => {
    const hash = newHash();
    const { url } = (await address(hash)).body;
    for (const [from, to] of [
      [hash, newHash()],
      [LOCAL_DEV.teamId, crypto.randomUUID()],
      [/maxBytes=\d+/, 'maxBytes=99999999999'],
      [/expiresAtMs=\d+/, 'expiresAtMs=99999999999999'],
      [/signature=\w+/, 'signature=00'],
    ] as const) {
      const answer = await put(url.replace(from, to), archive('x'));
      expect(answer, String(from)).toMatchObject({ status: 403 });
    }
    expect((await put(url.replace(/&signature=\w+/, ''), archive('x'))).status).toBe(400);
    now += 31 * 60_000;
    expect(await put(url, archive('x'))).toMatchObject({
      status: 403,
      message: expect.stringContaining('expired'),
    });
    expect((await address(hash)).body.present).toBe(false);
  });

  it('refuses hostile archives and such that are none, and keeps nothing of them', async () => {
    const hash = newHash();
    const { url } = (await address(hash)).body;
    for (const [body, message] of [
      [archive('../../etc/passwd'), 'outside of its folder'],
      [archive('/etc/passwd'), 'outside of its folder'],
      [Buffer.from('no archive'.repeat(200)), 'cannot be read'],
      [archive('cut').subarray(0, 700), 'cannot be read'],
      [Buffer.alloc(0), 'cannot be read'],
      // 64 kB, and 64 MiB behind the archive's end.
      [gzipSync(Buffer.concat([archive('a'), Buffer.alloc(64 * 1024 ** 2)])), 'padding after its end'],
    ] as const) {
      expect(await put(url, body)).toMatchObject({ status: 400, message: expect.stringContaining(message) });
    }
    expect((await address(hash)).body.present).toBe(false);
  });

  it('keeps nothing of an upload that broke off', async () => {
    const hash = newHash();
    const { url } = (await address(hash)).body;
    const broken = new AbortController();
    async function* slowly() {
      yield archive('half', 'x'.repeat(10_000)).subarray(0, 1_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
      broken.abort();
    }
    const upload = fetch(url, {
      method: 'PUT',
      body: ReadableStream.from(slowly()),
      duplex: 'half',
      headers: { 'Content-Length': '12000' },
      signal: broken.signal,
    } as RequestInit);
    await expect(upload).rejects.toThrow();
    expect((await address(hash)).body.present).toBe(false);
  });

  it('wants a hash and a template of the team', async () => {
    for (const bad of ['x', 'A'.repeat(64), '%2e%2e%2f']) {
      expect(await address(bad)).toMatchObject({ status: 400, body: { message: 'Invalid files hash' } });
    }
    expect((await address(newHash(), 'nothing')).status).toBe(404);
    const other = await api.team('foreigner');
    expect((await address(newHash(), api.baseTemplateId, other.key)).status).toBe(404);
  });

  it('removes archives that nobody used for a week, when it starts', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'islet-artifacts-'));
    const artifacts = createDirectoryArtifacts({ directory, signatures: new UploadSignatures('x') });
    const key = { teamId: crypto.randomUUID(), hash: newHash() };
    await artifacts.put(key, Readable.from([Buffer.from('x')]));
    const at = (days: number) => ({ now: () => Date.now() + days * 86_400_000, monotonic: () => 0 });
    for (const [days, isThere] of [
      [6, true],
      [8, false],
    ] as const) {
      await (await startHarness({ db: api.db, artifacts, clock: at(days) })).close();
      const files = await readdir(join(directory, key.teamId));
      expect(files.length > 0).toBe(isThere);
    }
    await rm(directory, { recursive: true });
  });
});
