import { constants } from 'node:fs';
import { chown, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Deadline } from '@islet/contracts';
import { userOf } from '@islet/host';
import type { Cells } from '../host/cells.ts';
import { type Confinement, runConfined } from '../host/confined.ts';
import { keepText } from '../host/keep-text.ts';
import { BuildCommandError } from '../host/run.ts';
import { behindGate, GATE_SOCKET, HOSTS_FILE, hostsFile } from './behind-gate.ts';
import type { Login } from './credentials.ts';
import {
  damagedImage,
  type ImageError,
  notAllowed,
  sendsTooMuch,
  tooSlow,
  unusableKind,
} from './image-error.ts';
import { explainPull } from './pull-failure.ts';
import { formatReference, type ImageReference, isLoopback } from './reference.ts';
import type { RegistryGate } from './registry-gate.ts';
import { type ImageSummary, isDigest, parseSummary, SUMMARY, SUMMARY_BYTES } from './summary.ts';

export interface Registry {
  reference: ImageReference;
  login: Login | undefined;
  /** Node's name of the machine's architecture. */
  arch: string;
  /** A folder for this pull alone. */
  dir: string;
  gate: RegistryGate;
  cells: Cells;
}

/** Where the pull's folder is inside. */
const INSIDE = '/pull';
const LOGIN_FILE = 'auth.json';
const NODE = '/islet-node';
/** Of the machine: which certificates and which registries its operator trusts. */
const SETTINGS = [
  ...['/etc/ssl/certs', '/etc/pki/tls/certs', '/etc/pki/ca-trust', '/etc/containers', '/etc/docker/certs.d'],
];
/** Where an operator says so in other places. */
const CERTIFICATES = ['SSL_CERT_FILE', 'SSL_CERT_DIR'];

/** Longest wait for what an image says of itself. */
const INSPECT_MS = 120_000;
/** Lists of platforms, manifest and configuration, of which skopeo reads 4 MiB each, and tokens. */
const TALK_BYTES = 16 * 1024 ** 2;
/** What a layer takes on the line beside its bytes: TLS and heads. */
const OVERHEAD = { share: 0.05, bytes: 64 * 1024 };
const DIGEST_BYTES = 71;

/** Makes a pull's folder one that skopeo may write to. */
export async function openPull({ dir, reference, login, gate }: Registry): Promise<void> {
  const puller = userOf('puller');
  for (const folder of ['', 'tmp', 'layout', 'layout/blobs', 'layout/blobs/sha256']) {
    const path = join(dir, folder);
    await mkdir(path, { recursive: true });
    await chown(path, puller, puller);
  }
  await writeLogin(dir, reference, login);
  await writeFile(join(dir, 'hosts'), hostsFile(gate));
}

/** @throws ImageError */
export async function inspectImage(registry: Registry, signal: AbortSignal): Promise<ImageSummary> {
  const { reference } = registry;
  using limit = new Deadline(INSPECT_MS, signal);
  registry.gate.traffic.allow(TALK_BYTES);
  const words = ['inspect', '--no-tags', '--format', SUMMARY];
  const sources = [source(reference)];
  const output = await skopeo(registry, words, sources, TALK_BYTES, limit.signal).catch((error) => {
    signal.throwIfAborted();
    throw limit.passed ? tooSlow(reference.written, error) : error;
  });
  const summary = parseSummary(output);
  if (!summary) throw unusableKind(reference.written, new Error('not what skopeo says of an image'));
  return summary;
}

/**
 * Fetches an image into the OCI layout of the pull's folder, with no more than what its blobs do not hold yet, and no more bytes than it
 * says it has.
 * @returns the digest of its manifest
 * @throws ImageError
 */
export async function fetchImage(
  registry: Registry,
  { digest, layers }: ImageSummary,
  signal: AbortSignal,
): Promise<string> {
  const { traffic } = registry.gate;
  const sizes = layers.map(({ bytes }) => Math.ceil(bytes * (1 + OVERHEAD.share)) + OVERHEAD.bytes);
  traffic.allow(sizes.reduce((sum, bytes) => sum + bytes, TALK_BYTES));
  const reference = { ...registry.reference, version: `@${digest}` };
  const words = ['copy', '--quiet', '--format', 'oci', `--digestfile=${INSIDE}/digest`];
  const target = `oci:${INSIDE}/layout:image`;
  await skopeo(registry, words, [source(reference), target], Math.max(TALK_BYTES, ...sizes), signal);
  // What unpacks it needs no password.
  await rm(join(registry.dir, LOGIN_FILE));
  const found = await readDigest(join(registry.dir, 'digest'));
  if (!isDigest(found)) {
    throw damagedImage(reference.written, new Error('skopeo wrote no digest'));
  }
  return found;
}

/** Whoever wrote it may have made it anything: no link is followed, and no pipe waited for. */
async function readDigest(path: string): Promise<string> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(DIGEST_BYTES), 0, DIGEST_BYTES, 0);
  return buffer.toString('latin1', 0, bytesRead);
}

/** What fetches sees and may do, before it gives up being root. */
export function fetchConfinement({ dir, gate }: Pick<Registry, 'dir' | 'gate'>): Confinement {
  const certificates = CERTIFICATES.flatMap((name) => {
    const path = process.env[name];
    return path ? [[name, path] as const] : [];
  });
  const asItIs = [...SETTINGS, ...certificates.map(([, path]) => path)].map((path) => [path, path]);
  return {
    view: {
      readable: {
        ...Object.fromEntries(asItIs),
        [NODE]: process.execPath,
        [HOSTS_FILE]: join(dir, 'hosts'),
        [GATE_SOCKET]: gate.socketPath,
      },
      writable: { [INSIDE]: dir },
    },
    capabilities: ['CAP_SETUID', 'CAP_SETGID', 'CAP_NET_BIND_SERVICE'],
    env: { HOME: INSIDE, TMPDIR: `${INSIDE}/tmp`, LC_ALL: 'C.UTF-8', ...Object.fromEntries(certificates) },
  };
}

async function skopeo(
  registry: Registry,
  command: readonly string[],
  images: readonly string[],
  fileBytes: number,
  signal: AbortSignal,
): Promise<string> {
  const { reference, arch, gate, cells } = registry;
  const tls = command[0] === 'copy' ? '--src-tls-verify' : '--tls-verify';
  const words = [
    ...['skopeo', `--tmpdir=${INSIDE}/tmp`, '--override-os=linux', `--override-arch=${goArch(arch)}`],
    ...['--command-timeout=50m', ...command],
    // Also without a login, or this machine's own would be used.
    `--authfile=${INSIDE}/${LOGIN_FILE}`,
    ...(isLoopback(reference) ? [`${tls}=false`] : []),
    ...images,
  ];
  const said = keepText(SUMMARY_BYTES);
  try {
    await runConfined({
      ...fetchConfinement(registry),
      fileBytes,
      command: behindGate(gate, reference, { node: NODE, uid: userOf('puller') }, words),
      onLine: said.add,
      ...{ cells, signal },
    });
  } catch (error) {
    if (!(error instanceof BuildCommandError)) throw error;
    throw explain(reference.written, gate, said.text, error);
  }
  return said.text;
}

function explain(image: string, { traffic, refused }: RegistryGate, words: string, error: Error): ImageError {
  if (traffic.fault === 'too-much') return sendsTooMuch(image, error);
  if (traffic.fault === 'too-slow') return tooSlow(image, error);
  const host = refused.at(-1);
  return host === undefined ? explainPull(image, words, error) : notAllowed(image, host, error);
}

function source(reference: ImageReference): string {
  return `docker://${formatReference(reference)}`;
}

/** In a file: arguments can be read by everybody. */
async function writeLogin(
  dir: string,
  { registry }: ImageReference,
  login: Login | undefined,
): Promise<void> {
  const path = join(dir, LOGIN_FILE);
  const auth = login && Buffer.from(`${login.username}:${login.password}`).toString('base64');
  await writeFile(path, JSON.stringify({ auths: auth ? { [registry]: { auth } } : {} }), { mode: 0o600 });
  await chown(path, userOf('puller'), userOf('puller'));
}

/** Go's names of architectures, which images use, by Node's. */
export function goArch(arch: string): string {
  return { x64: 'amd64', arm64: 'arm64' }[arch] ?? arch;
}
