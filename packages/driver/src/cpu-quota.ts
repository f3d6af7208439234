export const CPU_PERIOD_US = 100_000;

/**
 * CPU time that no single sandbox gets, so that one whose threads all spin leaves the node and its neighbours responsive.
 * Measured on two cores with six busy loops: at 2 CPUs other programs of the host waited for seconds, at 1.5 for 4 ms.
 */
const CPUS_KEPT_FREE = 0.5;

/** The share of the host's CPUs that a sandbox may use, as a cgroup quota in µs of each period. */
export function cpuQuotaUs(cpuCount: number, hostCpus: number): number {
  return Math.round(Math.min(cpuCount, Math.max(0.5, hostCpus - CPUS_KEPT_FREE)) * CPU_PERIOD_US);
}
