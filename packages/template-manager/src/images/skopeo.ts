import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildCommandError, CONFINED, runBuildCommand } from '../host/run.ts';
import type { Login } from './credentials.ts';
import { explainPull, notAllowed } from './image-error.ts';
import { formatReference, type ImageReference, isLoopback } from './reference.ts';
import { behindGate, type RegistryGate } from './registry-gate.ts';

/** What is known of an image before its layers are fetched. */
export interface ImageSummary {
  /** Of what the name leads to; for images of several platforms that of their list. */
  digest: string;
  architecture: string;
  os: string;
  /** Compressed sizes of its layers, together. */
  bytes: number;
}

export interface Registry {
  reference: ImageReference;
  login: Login | undefined;
  /** Node's name of the machine's architecture. */
  arch: string;
  /** A folder for this pull alone. */
  dir: string;
  /** The way out; absent: the machine's own. */
  gate: RegistryGate | undefined;
}

/** @throws ImageError */
export async function inspectImage(registry: Registry, signal: AbortSignal): Promise<ImageSummary> {
  const output = await skopeo(registry, ['inspect', '--no-tags'], [source(registry.reference)], signal);
  const { Digest, Architecture, Os, LayersData } = JSON.parse(output) as {
    Digest: string;
    Architecture: string;
    Os: string;
    LayersData?: { Size: number }[] | null;
  };
  const bytes = (LayersData ?? []).reduce((sum, { Size }) => sum + Math.max(0, Size), 0);
  return { digest: Digest, architecture: Architecture, os: Os, bytes };
}

/**
 * Fetches an image into an OCI layout, with no more than what its blobs do not hold yet.
 * @throws ImageError
 */
export async function fetchImage(
  registry: Registry,
  digest: string,
  layout: string,
  signal: AbortSignal,
): Promise<void> {
  const reference = { ...registry.reference, version: `@${digest}` };
  await skopeo(
    registry,
    ['copy', '--quiet', '--format', 'oci'],
    [source(reference), `oci:${layout}:image`],
    signal,
  );
}

async function skopeo(
  registry: Registry,
  command: readonly string[],
  images: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const { reference, login, arch, dir, gate } = registry;
  const tls = command[0] === 'copy' ? '--src-tls-verify' : '--tls-verify';
  const tmpDir = join(dir, 'tmp');
  await mkdir(tmpDir, { recursive: true });
  const lines: string[] = [];
  const words = [
    ...['skopeo', `--tmpdir=${tmpDir}`, '--override-os=linux', `--override-arch=${goArch(arch)}`],
    ...['--command-timeout=50m', ...command],
    `--authfile=${await writeLogin(dir, reference, login)}`,
    ...(isLoopback(reference) ? [`${tls}=false`] : []),
    ...images,
  ];
  try {
    await runBuildCommand({
      command: [...CONFINED, ...(gate ? behindGate(gate, words) : words)],
      onLine: (line) => lines.push(line),
      signal,
    });
  } catch (error) {
    if (!(error instanceof BuildCommandError)) throw error;
    const refused = gate?.refused.at(-1);
    if (refused !== undefined) throw notAllowed(reference.written, refused, error);
    throw explainPull(reference.written, lines.join('\n'), error);
  }
  return lines.join('\n');
}

function source(reference: ImageReference): string {
  return `docker://${formatReference(reference)}`;
}

/** In a file: arguments can be read by everybody. Also without a login, or this machine's own would be used. */
async function writeLogin(
  dir: string,
  { registry }: ImageReference,
  login: Login | undefined,
): Promise<string> {
  const path = join(dir, 'auth.json');
  const auth = login && Buffer.from(`${login.username}:${login.password}`).toString('base64');
  await writeFile(path, JSON.stringify({ auths: auth ? { [registry]: { auth } } : {} }), { mode: 0o600 });
  return path;
}

/** Go's names of architectures, which images use, by Node's. */
export function goArch(arch: string): string {
  return { x64: 'amd64', arm64: 'arm64' }[arch] ?? arch;
}
