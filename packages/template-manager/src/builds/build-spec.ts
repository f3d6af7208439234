import type { StepRequest } from '../steps/step.ts';

/** A client's build as it was asked for. */
export interface BuildSpec {
  templateId: string;
  buildId: string;
  teamId: string;
  cpuCount: number;
  memoryMb: number;
  freeDiskMb: number;
  /** Most that the files of the image and of all steps may take, MiB; absent: as much as there is. */
  diskLimitMb: number | undefined;
  source: { kind: 'image'; image: ImageSource } | { kind: 'build'; buildId: string };
  steps: readonly StepRequest[];
  /** Absent: the parent's, if neither command is given. */
  startCommand: string | undefined;
  readyCommand: string | undefined;
  /** Use no cached layer, and pull the image again. */
  force: boolean;
  /** Steps start as root, and no default user is made. */
  legacyUser: boolean;
}

export interface ImageSource {
  reference: string;
  credentials: ImageCredentials | undefined;
}

export type ImageCredentials =
  | { kind: 'basic'; username: string; password: string }
  | { kind: 'aws'; accessKeyId: string; secretAccessKey: string; region: string }
  | { kind: 'gcp'; serviceAccountJson: string };

/** What a ready build is for those that are built on it, and for the sandboxes of it. */
export interface BuildOutcome {
  diskSizeMb: number;
  envdVersion: string;
  /** Who a sandbox's commands run as, and where. */
  defaultUser: string;
  /** '' for the home of whoever runs. */
  defaultWorkdir: string;
  env: Readonly<Record<string, string>>;
  startCommand: string | undefined;
  readyCommand: string | undefined;
}

export type BuildState =
  | { kind: 'building' }
  | { kind: 'ready'; outcome: BuildOutcome }
  | { kind: 'failed'; message: string; phase: string };
