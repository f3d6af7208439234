import { execFile } from 'node:child_process';
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGzip } from 'node:zlib';
import { expect } from 'vitest';
import { LOGIN, type TestRegistry } from './registry.ts';

const run = promisify(execFile);

export interface ImageWish {
  /** Each fills a folder with one layer's files, or gives the tar itself, or the path of one. */
  layers: readonly ((dir: string) => Promise<Buffer | string | undefined>)[];
  /** Of the image's configuration. */
  config?: Record<string, unknown>;
  architecture?: string;
}

/** Builds an image by hand and pushes it as `<registry>/<name>`. @returns its full name. */
export async function pushImage(registry: TestRegistry, name: string, wish: ImageWish): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-image-'));
  try {
    const layout = join(dir, 'layout');
    await writeLayout(layout, wish);
    const image = `${registry.host}/${name}`;
    const login = ['--dest-creds', `${LOGIN.username}:${LOGIN.password}`];
    const flags = ['--quiet', '--insecure-policy', '--dest-tls-verify=false'];
    await run('skopeo', ['copy', ...flags, ...login, `oci:${layout}:image`, `docker://${image}`]);
    return image;
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Puts an image's manifest and configuration into another registry, without a layer. @returns its name there. */
export async function copyWithoutLayers(
  from: TestRegistry,
  repository: string,
  tag: string,
  to: TestRegistry,
  name: string,
): Promise<string> {
  const authorization = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`;
  const accept = 'application/vnd.oci.image.manifest.v1+json';
  const get = async (path: string) => {
    const answer = await fetch(`http://${from.host}/v2/${repository}/${path}`, {
      headers: { authorization, accept },
    });
    return Buffer.from(await answer.arrayBuffer());
  };
  const manifest = await get(`manifests/${tag}`);
  const { config, layers } = JSON.parse(manifest.toString()) as {
    config: { digest: string };
    layers: unknown[];
  };
  const put = (digest: string, content: Buffer) => {
    const folder = join(to.dir, 'docker/registry/v2');
    const hex = digest.replace('sha256:', '');
    return Promise.all([
      write(join(folder, `blobs/sha256/${hex.slice(0, 2)}/${hex}/data`), content),
      ...['_layers', '_manifests/revisions'].map((kind) =>
        write(join(folder, `repositories/${name}/${kind}/sha256/${hex}/link`), Buffer.from(digest)),
      ),
    ]);
  };
  const digest = sha256(manifest);
  await put(digest, manifest);
  await put(config.digest, await get(`blobs/${config.digest}`));
  expect(layers.length).toBeGreaterThan(0);
  const tagLink = join(to.dir, `docker/registry/v2/repositories/${name}/_manifests/tags/${tag}/current/link`);
  await write(tagLink, Buffer.from(digest));
  return `${to.host}/${name}:${tag}`;
}

async function write(path: string, content: Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

/** An OCI image layout, as the image specification describes it. */
async function writeLayout(layout: string, wish: ImageWish): Promise<void> {
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const put = async (content: Buffer) => {
    const digest = sha256(content);
    await writeFile(join(layout, 'blobs', digest.replace(':', '/')), content);
    return { digest, size: content.length };
  };
  const layers: object[] = [];
  const diffIds: string[] = [];
  for (const fill of wish.layers) {
    const { diffId, ...blob } = await addLayer(layout, fill);
    diffIds.push(diffId);
    layers.push({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...blob });
  }
  const own = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  const image = {
    architecture: wish.architecture ?? own,
    os: 'linux',
    config: wish.config ?? {},
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
  const configBlob = await put(Buffer.from(JSON.stringify(image)));
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...configBlob },
    layers,
  };
  const manifestBlob = await put(Buffer.from(JSON.stringify(manifest)));
  const entry = { mediaType: manifest.mediaType, ...manifestBlob };
  const annotations = { 'org.opencontainers.image.ref.name': 'image' };
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...entry, annotations }] }),
  );
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}

/** Piece by piece: a layer may be larger than memory. */
async function addLayer(layout: string, fill: ImageWish['layers'][number]) {
  const dir = await mkdtemp(join(tmpdir(), 'islet-layer-'));
  try {
    const files = join(dir, 'files');
    await mkdir(files, { mode: 0o755 });
    const given = await fill(files);
    const tar = typeof given === 'string' ? given : join(dir, 'layer.tar');
    if (given instanceof Buffer) await writeFile(tar, given);
    const flags = ['--numeric-owner', '--owner=0', '--group=0', '--sort=name'];
    if (given === undefined) await run('tar', ['-C', files, ...flags, '-cf', tar, '.']);
    const packed = join(layout, 'layer.tar.gz');
    const [plain, zipped] = [createHash('sha256'), createHash('sha256')];
    await pipeline(
      createReadStream(tar),
      through(plain),
      createGzip({ level: 1 }),
      through(zipped),
      createWriteStream(packed),
    );
    const digest = `sha256:${zipped.digest('hex')}`;
    const { size } = await stat(packed);
    await rename(packed, join(layout, 'blobs', digest.replace(':', '/')));
    return { digest, size, diffId: `sha256:${plain.digest('hex')}` };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Sums what passes. */
function through(hash: Hash) {
  return async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
