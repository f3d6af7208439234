import { readdirSync, readFileSync } from 'node:fs';

/** The sandbox's memory, KiB. */
export interface MemoryState {
  total: number;
  /** What can still be taken. */
  available: number;
}

/** What `/proc/meminfo` says. Undefined if it says nothing of the kind. */
export function readMemory(path: string): MemoryState | undefined {
  try {
    const text = readFileSync(path, 'latin1');
    const [total, available] = ['MemTotal', 'MemAvailable'].map((name) =>
      Number(text.match(new RegExp(`^${name}: +(\\d+) kB$`, 'm'))?.[1]),
    ) as [number, number];
    return Number.isNaN(total + available) ? undefined : { total, available };
  } catch {
    return undefined;
  }
}

/** Resident memory of processes by their process groups, KiB. */
export function residentByGroup(): Map<number, number> {
  const sizes = new Map<number, number>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      // Behind the name, which may hold anything: state, parent, group. Pages have 4 KiB.
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const group = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
      const pages = Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]);
      sizes.set(group, (sizes.get(group) ?? 0) + pages * 4);
    } catch {
      // It has just ended.
    }
  }
  return sizes;
}
