import type { SnapshotNeeds } from '@islet/snapshots';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { SandboxCommand } from '../envd/command.ts';

/** A program that a template's sandboxes come with. */
export type StartCommand = Omit<SandboxCommand, 'onOutput'>;

/** A build that sandboxes can start from: of a template, or a sandbox's snapshot. */
export interface TemplateBuild {
  version: 3;
  templateId: string;
  buildId: string;
  /** ISO 8601. */
  createdAt: string;
  /** Digest of its saved state. */
  snapshot: string;
  /** What that needs; without the saved state, a template boots from the same root file system. */
  needs: SnapshotNeeds;
  /** The build that it goes back to: of a sandbox's snapshot, which holds what nothing else does. */
  parentBuildId?: string;
  cpuCount: number;
  memoryMb: number;
  /** Size of the root file system as sandboxes see it: what the template fills and the tier's free space. */
  diskSizeMb: number;
  /** What the root file system takes of it, MiB; absent if that never boots, as of a sandbox's snapshot. */
  diskUsedMb?: number;
  defaultUser: string;
  defaultWorkdir: string;
  envdVersion: string;
  /** What runs in every sandbox of the template. It is in the saved state; without that it has to be started. */
  startCommand?: StartCommand;
  /** Of a sandbox's snapshot: what its envd asks for until it is given another identity. */
  envdAccessToken?: string;
  /** The store of the installation has it. */
  stored?: boolean;
}

const Runtime = Type.Object({ name: Type.String(), digest: Type.String() });
const Processor = Type.Object({ architecture: Type.String(), features: Type.Array(Type.String()) });
const Build = Type.Object({
  version: Type.Literal(3),
  ...{ templateId: Type.String(), buildId: Type.String(), createdAt: Type.String(), snapshot: Type.String() },
  needs: Type.Object({
    runtime: Runtime,
    ...{ guest: Type.String(), rootfs: Type.String(), processor: Type.Optional(Processor) },
  }),
  parentBuildId: Type.Optional(Type.String()),
  ...{ cpuCount: Type.Number(), memoryMb: Type.Number(), diskSizeMb: Type.Number() },
  diskUsedMb: Type.Optional(Type.Number()),
  ...{ defaultUser: Type.String(), defaultWorkdir: Type.String(), envdVersion: Type.String() },
  startCommand: Type.Optional(
    Type.Object({
      ...{ program: Type.String(), args: Type.Array(Type.String()), user: Type.String() },
      cwd: Type.Optional(Type.String()),
      env: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
  ),
  envdAccessToken: Type.Optional(Type.String()),
  stored: Type.Optional(Type.Boolean()),
});

/** Undefined if it is no build that this Islet reads. */
export function checkBuild(value: unknown): TemplateBuild | undefined {
  return Value.Check(Build, value) ? (value as TemplateBuild) : undefined;
}

/** Undefined if the text is no build that this Islet reads. */
export function parseBuild(text: string): TemplateBuild | undefined {
  try {
    return checkBuild(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
