import { expect, it } from 'vitest';
import { parseProcessStat, parseProcStat, usedPercent } from './cpu.ts';
import { parseMeminfo } from './metrics.ts';

it('measures processor use between two samples', () => {
  const before = parseProcStat('cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3\n');
  const after = parseProcStat('cpu  150 0 150 750 150 0 0 0 99 0\n');
  expect(before).toEqual({ busySeconds: 2, totalSeconds: 10 });
  expect(before && after && usedPercent(before, after)).toBe(50);
  expect(parseProcStat('cpu  0 0 0 0 0 0 0 0 0 0\n')).toBeUndefined();
  expect(usedPercent({ busySeconds: 5, totalSeconds: 5 }, { busySeconds: 4, totalSeconds: 6 })).toBe(0);
});

it('reads the time of a process whatever it is called', () => {
  expect(parseProcessStat('12 (a) b 1 2) S 1 1 1 0 -1 0 0 0 0 0 100 200 30 40 20 0')).toBeCloseTo(3.7);
});

it('counts caches apart from used memory', () => {
  const text =
    'MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 700 kB\nBuffers: 50 kB\nCached: 150 kB\nSReclaimable: 100 kB\n';
  expect(parseMeminfo(text)).toEqual({ total: 1_024_000, used: 400 * 1024, cache: 250 * 1024 });
});
