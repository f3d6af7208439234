import type { SandboxCommand } from '../sandbox/command.ts';
import type { SnapshotManifest } from '../snapshots/manifest.ts';

/** A program that a template's sandboxes come with. */
export type StartCommand = Omit<SandboxCommand, 'onOutput'>;

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
  /** What runs in every sandbox of the template. It is in the snapshot; without the snapshot it has to be started. */
  startCommand?: StartCommand;
  /** Of a sandbox's snapshot: what its envd asks for until it is given another identity. */
  envdAccessToken?: string;
}
