import { formatRateRule, type RateRule } from '@islet/contracts';
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

/** How often a team may ask, with all its keys and with each; null: what the installation says. */
const RATES = { rate: 'requestRate', keyRate: 'keyRequestRate' } as const satisfies Record<
  string,
  keyof TeamLimits
>;

type Name = keyof typeof NAMES;
type RateName = keyof typeof RATES;

/** What an operator says of a team's limits; what is not named stays. */
export type TeamLimitsChange = { [K in Name]?: number | undefined } & {
  [K in RateName]?: RateRule | null | undefined;
};

/** The limits in force for a team. */
export type TeamLimitsView = { [K in Name]: number } & { [K in RateName]: string | null };

const names = Object.keys(NAMES) as Name[];
const rateNames = Object.keys(RATES) as RateName[];

export function limitsView({ limits }: Pick<Team, 'limits'>): TeamLimitsView {
  const rateOf = (name: RateName) => {
    const rule = limits[RATES[name]];
    return rule && formatRateRule(rule);
  };
  return Object.fromEntries([
    ...names.map((name) => [name, limits[NAMES[name]]]),
    ...rateNames.map((name) => [name, rateOf(name)]),
  ]) as TeamLimitsView;
}

export function limitOverrides(change: TeamLimitsChange): LimitOverrides {
  const columns = { ...NAMES, ...RATES };
  const named = [...names, ...rateNames].filter((name) => change[name] !== undefined);
  return Object.fromEntries(named.map((name) => [columns[name], change[name]]));
}
