import type { SnapshotManifest } from '../snapshots/manifest.ts';

/** What a build's snapshot is, and all that has to be the same for it to start. */
export interface TemplateManifest extends SnapshotManifest {
  templateId: string;
  buildId: string;
  cpuCount: number;
  memoryMb: number;
  /** Size of the root file system as sandboxes see it: what the template fills and the tier's free space. */
  diskSizeMb: number;
  /** What the root file system takes of it, MiB; absent where that never boots, as of a sandbox's snapshot. */
  diskUsedMb?: number;
  defaultUser: string;
  defaultWorkdir: string;
  envdVersion: string;
  /** Of a sandbox's snapshot: what its envd asks for until it is given another identity. */
  envdAccessToken?: string;
}
