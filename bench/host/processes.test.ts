import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { findSandboxProcesses, parseSmapsRollup } from './processes.ts';

it('reads resident and proportional sizes, and none of the fields that start alike', () => {
  const text = [
    '55b9f0a00000-7ffd1b7fe000 ---p 00000000 00:00 0  [rollup]',
    'Rss:               44032 kB',
    'Pss:               21500 kB',
    'Pss_Dirty:         11111 kB',
    'SwapPss:               7 kB',
    '',
  ].join('\n');
  expect(parseSmapsRollup(text)).toEqual({ rss: 44_032 * 1024, pss: 21_500 * 1024 });
});

it('reads what this kernel says', async () => {
  const { rss, pss } = parseSmapsRollup(await readFile('/proc/self/smaps_rollup', 'utf8'));
  expect(pss).toBeGreaterThan(0);
  expect(rss).toBeGreaterThanOrEqual(pss);
});

it('counts nothing if a process is gone', () => {
  expect(parseSmapsRollup('')).toEqual({ rss: 0, pss: 0 });
});

it('names the sandbox that does not run', async () => {
  await expect(findSandboxProcesses('inosuchsandbox')).rejects.toThrow('inosuchsandbox');
});
