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

/** What a team has at a moment. A control plane takes it every 5 s of each team that has something. */
export interface TeamSample {
  teamId: string;
  /** Unix milliseconds. */
  timeMs: number;
  /** Sandboxes that run, on all nodes. */
  running: number;
  /** Sandboxes that this control plane has started since its sample before. */
  created: number;
}
