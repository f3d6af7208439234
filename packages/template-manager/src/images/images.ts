import { mkdir, mkdtemp, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { ImageSource } from '../builds/build-spec.ts';
import { cacheKey } from '../engine/cache-key.ts';
import type { Cells } from '../host/cells.ts';
import { machineDisk } from '../layers/disk.ts';
import { withinDiskLimit } from '../layers/disk-limit.ts';
import type { Layer } from '../layers/layer.ts';
import type { LayerStore } from '../layers/layer-store.ts';
import { BlobCache } from './blob-cache.ts';
import { loginOf } from './credentials.ts';
import { ImageError, notAllowed } from './image-error.ts';
import { type ImageReference, isLoopback, parseReference } from './reference.ts';
import { openRegistryGate, type RegistryGate, unbracketed } from './registry-gate.ts';
import type { RegistryPolicy } from './registry-policy.ts';
import { fetchImage, goArch, inspectImage, openPull, type Registry } from './skopeo.ts';
import { variablesOf } from './summary.ts';
import type { Pace } from './traffic.ts';
import { unpackImage } from './umoci.ts';

/** An image on this machine. */
export interface PulledImage {
  /** Names its content. */
  digest: string;
  /** Of its files, as they were unpacked. */
  contentDigest: string;
  rootfsDir: string;
  /** What its files take on the disk. */
  bytes: number;
  env: Readonly<Record<string, string>>;
  /** Whether no registry was asked. */
  cached: boolean;
}

export interface ImagesOptions {
  /** For pulls, and for what was pulled: blobs by team and digest. */
  dir: string;
  /** For the sockets of gates, whose names may have 107 bytes at most. */
  gatesDir: string;
  layers: LayerStore;
  cells: Cells;
  /** Node's name of the machine's architecture. */
  arch: string;
  registries: Registries;
  /** What a registry has to send at the least. */
  pace: Pace;
}

export interface Registries {
  /** What may be reached for an image. */
  policy: RegistryPolicy;
  /** What the machine reaches a registry (`host` or `host:port`) through, if it is so: that says what may be reached then. */
  proxyFor: (registry: string) => URL | undefined;
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
/** As for a step's disk: so many bytes of room for each file. */
const BYTES_PER_FILE = 8192;
/** Raise it when unpacking changes what comes out of an unchanged image. */
const UNPACK_REVISION = 1;

/** Images from registries, unpacked; shared by everything that was built on the same digest. */
export class Images {
  readonly #options: ImagesOptions;
  readonly #blobs: BlobCache;

  constructor(options: ImagesOptions) {
    this.#options = options;
    this.#blobs = new BlobCache(join(options.dir, 'blobs'));
  }

  /** @throws ImageError saying what is wrong with the image, its name or its registry. */
  async pull(request: PullRequest, signal: AbortSignal): Promise<PulledImage> {
    const reference = parseReference(request.image.reference);
    const note = join(this.#options.dir, 'names', cacheKey(request.teamId, reference.written));
    const known = request.force ? undefined : await readNote(note);
    const found = known && (await this.#unpacked(known.digest));
    if (known && found) {
      const { rootfsDir, bytes, digest: contentDigest } = found;
      if (bytes > request.diskLimitMb * MIB) throw tooLarge(reference.written, request.diskLimitMb);
      return { ...known, contentDigest, rootfsDir, bytes, cached: true };
    }

    await using gate = await this.#gate(reference);
    const { credentials } = request.image;
    const login = credentials && (await loginOf(credentials, signal));
    await mkdir(join(this.#options.dir, 'pulls'), { recursive: true, mode: 0o700 });
    const dir = await mkdtemp(join(this.#options.dir, 'pulls', 'pull-'));
    try {
      const { arch, cells } = this.#options;
      const registry = { reference, login, arch, dir, gate, cells };
      await openPull(registry);
      const pulled = await this.#fetch(registry, request, signal);
      await writeNote(note, { digest: pulled.digest, env: { ...pulled.env } });
      return pulled;
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  /** The way to a registry. @throws ImageError if it may not be reached. */
  async #gate(reference: ImageReference): Promise<RegistryGate> {
    const { registries, gatesDir, pace } = this.#options;
    const { policy, proxyFor } = registries;
    const host = unbracketed(reference.registry.replace(/:\d+$/, ''));
    const address = host === 'localhost' ? '127.0.0.1' : host;
    if (isIP(address) !== 0 && !policy.allows(address)) throw notAllowed(reference.written, host);
    // Programs use no proxy for what is on the same machine.
    return openRegistryGate({
      policy,
      proxy: isLoopback(reference) ? undefined : proxyFor(reference.registry),
      gatesDir,
      pace,
    });
  }

  async #fetch(registry: Registry, request: PullRequest, signal: AbortSignal): Promise<PulledImage> {
    const { written } = registry.reference;
    const summary = await inspectImage(registry, signal);
    const platform = `linux/${goArch(registry.arch)}`;
    const offered = `${summary.os}/${summary.architecture}`;
    if (offered !== platform) {
      throw new ImageError(`image '${written}' is for ${offered}, and this machine is ${platform}`);
    }
    const compressed = summary.layers.reduce((sum, { bytes }) => sum + bytes, 0);
    const { teamId, diskLimitMb, onProgress } = request;
    const roomBytes = diskLimitMb * MIB;
    const error = () => tooLarge(written, diskLimitMb);
    if (compressed > roomBytes) throw error();
    await this.#checkSpace(written, compressed);
    onProgress(`Pulling ${written} (${toMiB(compressed)} MiB)`);
    const layout = join(registry.dir, 'layout');
    await this.#blobs.lend(teamId, summary.layers, layout);
    const digest = await fetchImage(registry, summary, signal);
    onProgress(`Unpacking ${written}`);
    await using layer = await this.#options.layers.open(
      {
        key: layerKey(digest),
        description: { image: written, digest },
        onWait: () => onProgress('Waiting for another build that unpacks the same image'),
      },
      signal,
    );
    if (!layer.found) {
      const target = layer.dir;
      const unpacking = { image: written, pullDir: registry.dir, target, cells: registry.cells };
      const limit = { dir: target, roomBytes, diskUsage: roomTaken, error };
      await withinDiskLimit(limit, signal, (signal) => unpackImage(unpacking, signal));
      await this.#blobs.keep(teamId, summary.layers, layout);
    }
    const { rootfsDir, bytes, digest: contentDigest } = layer.found ?? (await layer.keep());
    // Another team, which may use more, had it unpacked.
    if (bytes > roomBytes) throw error();
    return { digest, contentDigest, env: variablesOf(summary), rootfsDir, bytes, cached: false };
  }

  /** The image's files if they are unpacked already. */
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
}

function layerKey(digest: string): string {
  return cacheKey('image', UNPACK_REVISION, digest);
}

/** What a folder takes of the room there is: bytes, or files. */
async function roomTaken(dir: string): Promise<number> {
  const [bytes, files] = await Promise.all([machineDisk.diskUsage(dir), machineDisk.fileCount(dir)]);
  return Math.max(bytes, files * BYTES_PER_FILE);
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
