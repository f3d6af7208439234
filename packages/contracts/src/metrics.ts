/** One sample of what a sandbox uses. Nodes take them, the control plane answers with them. */
export interface SandboxSample {
  sandboxId: string;
  teamId: string;
  /** Unix milliseconds. */
  timeMs: number;
  cpuCount: number;
  /** 0 to 100 over all CPUs together. */
  cpuUsedPct: number;
  /** Sizes in bytes. */
  memUsed: number;
  memTotal: number;
  memCache: number;
  diskUsed: number;
  diskTotal: number;
}
