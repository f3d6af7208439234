import type { SandboxDriver } from '../drivers/driver.ts';

/** What a build's snapshot is, and all that has to be the same for it to start. */
export interface TemplateManifest {
  version: 1;
  templateId: string;
  buildId: string;
  createdAt: string;
  rootfsDir: string;
  cpuCount: number;
  memoryMb: number;
  /** Size of the root file system as sandboxes see it: what the template fills and the tier's free space. */
  diskSizeMb: number;
  defaultUser: string;
  defaultWorkdir: string;
  envdVersion: string;
  runtime: { name: SandboxDriver['name']; digest: string };
  /** Digest of the node and envd files that the snapshot's memory maps. */
  guestDigest: string;
  /** SHA-256 of each snapshot file, by name. */
  files: Record<string, string>;
}

export interface HostRuntime {
  name: SandboxDriver['name'];
  digest: string;
  guestDigest: string;
}

/** Why a snapshot cannot start on this host, or undefined where it can. */
export function incompatibility(manifest: TemplateManifest, host: HostRuntime): string | undefined {
  if (manifest.runtime.name !== host.name) {
    return `it was made with the ${manifest.runtime.name} driver and this node runs ${host.name}`;
  }
  if (manifest.runtime.digest !== host.digest) return 'it was made with another build of the sandbox runtime';
  return undefined;
}
