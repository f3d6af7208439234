import type { UsageDay } from './usage.ts';

const DAY_MS = 24 * 3_600_000;
const HOUR_S = 3_600;
const MIB_PER_GIB = 1024;
const MOST_DAYS = 366;

/** What was used, in units for people. */
export interface UsageAmounts {
  /** That were created. */
  sandboxes: number;
  vcpuHours: number;
  memoryGiBHours: number;
  pausedGiBHours: number;
  templateGiBHours: number;
  volumeGiBHours: number;
}

export interface UsageReport {
  days: ({ day: string } & UsageAmounts)[];
  total: UsageAmounts;
}

/** The days that are asked for, both included: the last 30 if nothing is said. What is wrong with it, as a text. */
export function usageRange(
  { start, end }: { start?: string | undefined; end?: string | undefined },
  now: number,
): { from: string; to: string } | string {
  const endMs = end === undefined ? now : parseDay(end);
  const startMs = start === undefined ? endMs - 29 * DAY_MS : parseDay(start);
  if (Number.isNaN(startMs) || Number.isNaN(endMs)) return 'start and end must be days, such as 2026-12-01';
  const [from, to] = [dayOf(startMs), dayOf(endMs)];
  if (from > to) return 'start is after end';
  if (endMs - startMs >= MOST_DAYS * DAY_MS) return `it is longer than ${MOST_DAYS} days`;
  return { from, to };
}

/** NaN if it is none. */
function parseDay(text: string): number {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
}

function dayOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}

/** Days as they are told of, with their sum. */
export function presentUsage(used: readonly UsageDay[]): UsageReport {
  const days = used.map(({ day, ...amounts }) => ({ day, ...amountsOf(amounts) }));
  const sum = (name: keyof UsageAmounts) => days.reduce((total, amounts) => total + amounts[name], 0);
  return {
    days,
    total: {
      sandboxes: sum('sandboxes'),
      vcpuHours: sum('vcpuHours'),
      memoryGiBHours: sum('memoryGiBHours'),
      pausedGiBHours: sum('pausedGiBHours'),
      templateGiBHours: sum('templateGiBHours'),
      volumeGiBHours: sum('volumeGiBHours'),
    },
  };
}

function amountsOf(used: Omit<UsageDay, 'day'>): UsageAmounts {
  const gibHours = (mibSeconds: number) => mibSeconds / MIB_PER_GIB / HOUR_S;
  return {
    sandboxes: used.sandboxes,
    vcpuHours: used.vcpuSeconds / HOUR_S,
    memoryGiBHours: gibHours(used.memoryMibSeconds),
    pausedGiBHours: gibHours(used.pausedMibSeconds),
    templateGiBHours: gibHours(used.templateMibSeconds),
    volumeGiBHours: gibHours(used.volumeMibSeconds),
  };
}
