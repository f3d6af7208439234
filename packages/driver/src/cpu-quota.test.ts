import { expect, it } from 'vitest';
import { cpuQuotaUs } from './cpu-quota.ts';

it.each([
  ['gives a sandbox its CPUs where the host has more', 2, 8, 200_000],
  ['keeps half a CPU of the host from a sandbox that would take all', 2, 2, 150_000],
  ['never gives more than the host has', 8, 2, 150_000],
  ['leaves half a CPU on a host that has but one', 2, 1, 50_000],
])('%s', (_, cpuCount, hostCpus, quota) => {
  expect(cpuQuotaUs(cpuCount, hostCpus)).toBe(quota);
});
