/** Clock ticks a second in /proc, fixed by the kernel's interface. */
const TICKS_A_SECOND = 100;

/** CPU time since some point in the past. */
export interface CpuSample {
  busySeconds: number;
  /** Wall clock times processors, in seconds. */
  totalSeconds: number;
}

/** Share of the processors' time that was used between two samples, in percent with two decimals. */
export function usedPercent(before: CpuSample, after: CpuSample): number {
  const total = after.totalSeconds - before.totalSeconds;
  const busy = after.busySeconds - before.busySeconds;
  if (total <= 0 || busy <= 0) return 0;
  return Math.round(Math.min(1, busy / total) * 10_000) / 100;
}

/** Reads the first line of /proc/stat; undefined if the kernel (gVisor's) keeps no account there. */
export function parseProcStat(text: string): CpuSample | undefined {
  const fields = /^cpu\s+(.*)$/m.exec(text)?.[1]?.split(/\s+/).map(Number) ?? [];
  // guest and guest_nice, the last two, are contained in user and nice.
  const total = fields.slice(0, 8).reduce((sum, ticks) => sum + ticks, 0);
  if (!(total > 0)) return undefined;
  const idle = (fields[3] ?? 0) + (fields[4] ?? 0);
  return { busySeconds: (total - idle) / TICKS_A_SECOND, totalSeconds: total / TICKS_A_SECOND };
}

/** CPU seconds of a process and of its children that were waited for, from /proc/<pid>/stat. */
export function parseProcessStat(text: string): number {
  // The command's name, in parentheses, may hold anything: count from behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + (Number(fields[index]) || 0), 0);
  return ticks / TICKS_A_SECOND;
}
