import type { LimitOverrides, Team, TeamLimits } from '@islet/db';

/** What a team may have, by the names that operators know, and what the database calls it. */
const NAMES = {
  /** Sandboxes running at once. */
  sandboxes: 'concurrentInstances',
  /** Hours that one sandbox may live. */
  hours: 'maxLengthHours',
  vcpu: 'maxVcpu',
  memoryMb: 'maxRamMb',
  /** Disk of one template. */
  diskMb: 'maxDiskSizeMb',
  /** Archives of COPY steps that are kept. */
  uploadsMb: 'maxUploadMb',
  snapshots: 'maxSnapshots',
  snapshotsMb: 'maxSnapshotMb',
  /** Sandboxes that are paused, or will be when their time is over. */
  paused: 'maxPausedSandboxes',
  pausedMb: 'maxPausedMb',
  volumes: 'maxVolumes',
  volumesMb: 'maxVolumeMb',
  templates: 'maxTemplates',
  keys: 'maxApiKeys',
} as const satisfies Record<string, keyof TeamLimits>;

type Name = keyof typeof NAMES;

/** What an operator says of a team's limits; what is not named stays. */
export type TeamLimitsChange = { [K in Name]?: number | undefined };

/** The limits in force for a team. */
export type TeamLimitsView = { [K in Name]: number };

const names = Object.keys(NAMES) as Name[];

export function limitsView({ limits }: Pick<Team, 'limits'>): TeamLimitsView {
  return Object.fromEntries(names.map((name) => [name, limits[NAMES[name]]])) as TeamLimitsView;
}

export function limitOverrides(change: TeamLimitsChange): LimitOverrides {
  const named = names.filter((name) => change[name] !== undefined);
  return Object.fromEntries(named.map((name) => [NAMES[name], change[name]]));
}
