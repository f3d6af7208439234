import { mkdir, mkdtemp, readFile, rename, rm, statfs, symlink, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { ImageSource } from '../builds/build-spec.ts';
import { cacheKey } from '../engine/cache-key.ts';
import { CONFINED, runBuildCommand } from '../host/run.ts';
import { machineDisk } from '../layers/disk.ts';
import { withinDiskLimit } from '../layers/disk-limit.ts';
import type { Layer, LayerStore } from '../layers/layer-store.ts';
import { loginOf } from './credentials.ts';
import { explainPull, ImageError, notAllowed } from './image-error.ts';
import { type ImageReference, isLoopback, parseReference } from './reference.ts';
import { openRegistryGate, type RegistryGate } from './registry-gate.ts';
import type { RegistryPolicy } from './registry-policy.ts';
import { fetchImage, goArch, inspectImage, type Registry } from './skopeo.ts';

/** An image on this machine. */
export interface PulledImage {
  /** Names its content. */
  digest: string;
  rootfsDir: string;
  /** What its files take on the disk. */
  bytes: number;
  env: Readonly<Record<string, string>>;
  /** Whether no registry was asked. */
  cached: boolean;
}

export interface ImagesOptions {
  /** For pulls, and for what was pulled: blobs by digest. */
  dir: string;
  /** For the sockets of gates, whose names may have 107 bytes at most. */
  gatesDir: string;
  layers: LayerStore;
  /** Node's name of the machine's architecture. */
  arch: string;
  registries: Registries;
}

export interface Registries {
  /** What may be reached for an image. */
  policy: RegistryPolicy;
  /** Whether the machine reaches registries through a proxy, which then says what may be reached. */
  throughProxy: boolean;
}

export interface PullRequest {
  image: ImageSource;
  /** What a team pulled before, it has; another team has to show that it may. */
  teamId: string;
  /** Ask the registry even so. */
  force: boolean;
  /** Most that its files may take, MiB. */
  diskLimitMb: number;
  onProgress: (message: string) => void;
}

/** What a name led to the last time. */
interface KnownImage {
  digest: string;
  env: Record<string, string>;
}

const MIB = 1024 ** 2;
/** Files of an image take up to three times what their compressed layers do, and both are kept. */
const UNPACKED_RATIO = 4;
/** Raise it when unpacking changes what comes out of an unchanged image. */
const UNPACK_REVISION = 1;

/** Images from registries, unpacked; shared by everything that was built on the same digest. */
export class Images {
  readonly #options: ImagesOptions;

  constructor(options: ImagesOptions) {
    this.#options = options;
  }

  /** @throws ImageError saying what is wrong with the image, its name or its registry. */
  async pull(request: PullRequest, signal: AbortSignal): Promise<PulledImage> {
    const reference = parseReference(request.image.reference);
    const note = join(this.#options.dir, 'names', cacheKey(request.teamId, reference.written));
    const known = request.force ? undefined : await readNote(note);
    const found = known && (await this.#unpacked(known.digest));
    if (known && found) {
      const { rootfsDir, bytes } = found;
      if (bytes > request.diskLimitMb * MIB) throw tooLarge(reference.written, request.diskLimitMb);
      return { ...known, rootfsDir, bytes, cached: true };
    }

    await using gate = await this.#gate(reference);
    const { credentials } = request.image;
    const login = credentials && (await loginOf(credentials, signal));
    await mkdir(join(this.#options.dir, 'pulls'), { recursive: true, mode: 0o700 });
    const dir = await mkdtemp(join(this.#options.dir, 'pulls', 'pull-'));
    try {
      const registry = { reference, login, arch: this.#options.arch, dir, gate };
      const pulled = await this.#fetch(registry, request, signal);
      await writeNote(note, { digest: pulled.digest, env: { ...pulled.env } });
      return pulled;
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  /** The way to a registry; undefined where nothing stands between. @throws ImageError where it may not be reached. */
  async #gate(reference: ImageReference): Promise<RegistryGate | undefined> {
    const { registries, gatesDir } = this.#options;
    const { policy, throughProxy } = registries;
    const host = reference.registry.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    const address = host === 'localhost' ? '127.0.0.1' : host;
    if (isIP(address) !== 0 && !policy.allows(address)) throw notAllowed(reference.written, host);
    // Programs use no proxy for what is on the same machine.
    return isLoopback(reference) || throughProxy ? undefined : openRegistryGate(policy, gatesDir);
  }

  async #fetch(registry: Registry, request: PullRequest, signal: AbortSignal): Promise<PulledImage> {
    const { written } = registry.reference;
    const summary = await inspectImage(registry, signal);
    const platform = `linux/${goArch(registry.arch)}`;
    const offered = `${summary.os}/${summary.architecture}`;
    if (offered !== platform) {
      throw new ImageError(`image '${written}' is for ${offered}, and this machine is ${platform}`);
    }
    await this.#checkSpace(written, summary.bytes);
    request.onProgress(`Pulling ${written} (${toMiB(summary.bytes)} MiB)`);
    const layout = await this.#layout(registry.dir);
    await fetchImage(registry, summary.digest, layout, signal);
    const { digest, env } = await readImage(layout);
    request.onProgress(`Unpacking ${written}`);
    const { diskLimitMb } = request;
    const error = () => tooLarge(written, diskLimitMb);
    const limit = { roomBytes: diskLimitMb * MIB, diskUsage: machineDisk.diskUsage, error };
    const { rootfsDir, bytes } = await this.#options.layers.ensure(
      {
        key: layerKey(digest),
        description: { image: written, digest },
        onWait: () => request.onProgress('Waiting for another build that unpacks the same image'),
        make: (dir, signal) =>
          withinDiskLimit({ dir, ...limit }, signal, (signal) => unpack(written, layout, dir, signal)),
      },
      signal,
    );
    // Another team, which may use more, had it unpacked.
    if (bytes > limit.roomBytes) throw error();
    return { digest, env, rootfsDir, bytes, cached: false };
  }

  /** The image's files where they are unpacked already. */
  #unpacked(digest: string): Promise<Layer | undefined> {
    return this.#options.layers.find(layerKey(digest));
  }

  async #checkSpace(image: string, bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#options.dir);
    const free = bavail * bsize;
    if (bytes * UNPACKED_RATIO <= free) return;
    throw new ImageError(
      `image '${image}' is too large: its layers are ${toMiB(bytes)} MiB compressed, and the builder has ${toMiB(free)} MiB of disk left`,
    );
  }

  /** A layout whose blobs are all pulls'. */
  async #layout(dir: string): Promise<string> {
    const blobs = join(this.#options.dir, 'blobs');
    const layout = join(dir, 'layout');
    await mkdir(join(blobs, 'sha256'), { recursive: true, mode: 0o700 });
    await mkdir(layout);
    await symlink(blobs, join(layout, 'blobs'));
    return layout;
  }
}

function layerKey(digest: string): string {
  return cacheKey('image', UNPACK_REVISION, digest);
}

/** Whose paths stay in the target, whatever names and links the layers hold, is umoci's to see to; devices are of no use. */
async function unpack(image: string, layout: string, target: string, signal: AbortSignal): Promise<void> {
  const lines: string[] = [];
  const onLine = (line: string) => lines.push(line);
  const script = 'umoci raw unpack --image "$1" "$2" && find "$2" -xdev "(" -type b -o -type c ")" -delete';
  const command = [...CONFINED, 'sh', '-c', script, 'unpack', `${layout}:image`, target];
  await runBuildCommand({ command, onLine, signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw explainPull(image, lines.join('\n'), error);
  });
}

/** Digest and environment of the one image in a layout. */
async function readImage(layout: string): Promise<{ digest: string; env: Record<string, string> }> {
  const read = async (path: string): Promise<unknown> =>
    JSON.parse(await readFile(join(layout, path), 'utf8'));
  const blob = (digest: string) => read(join('blobs', digest.replace(':', '/')));
  const index = (await read('index.json')) as { manifests: { digest: string }[] };
  const digest = index.manifests[0]?.digest ?? '';
  const manifest = (await blob(digest)) as { config: { digest: string } };
  const { config } = (await blob(manifest.config.digest)) as { config?: { Env?: string[] | null } | null };
  const env: Record<string, string> = {};
  for (const entry of config?.Env ?? []) {
    const split = entry.indexOf('=');
    if (split > 0) env[entry.slice(0, split)] = entry.slice(split + 1);
  }
  return { digest, env };
}

async function readNote(path: string): Promise<KnownImage | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as KnownImage;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeNote(path: string, known: KnownImage): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.${process.pid}`, JSON.stringify(known), { flush: true });
  await rename(`${path}.${process.pid}`, path);
}

function tooLarge(image: string, limitMb: number): ImageError {
  return new ImageError(
    `image '${image}' is too large: its files take more than the ${limitMb} MiB that its team may use for a template`,
  );
}

function toMiB(bytes: number): number {
  return Math.round(bytes / MIB);
}
