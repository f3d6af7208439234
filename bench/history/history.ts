import type { SandboxLog, SandboxSample } from '@islet/contracts';
import type { Stores } from '@islet/sinks';

export const TEAM = 't1';
/** Of the first sample and line, Unix ms: those of a million samples end about now. */
export const BEGIN_MS = Date.now() - (Date.now() % 5_000) - 7 * 3_600_000;

/** How much is kept while queries are measured, among how many sandboxes. */
export interface Amount {
  samples: number;
  sampled: number;
  lines: number;
  logged: number;
}

/** Keeps the past, for a measurement. */
export interface History extends AsyncDisposable {
  /** For people. */
  name: string;
  stores: Pick<Stores, 'samples' | 'logs'>;
  /** Puts in `sampleAt` and `lineAt` of all numbers below those of the amount, in the fastest way that it has. */
  fill(amount: Amount): Promise<void>;
}

export function sampleAt(index: number, { sampled }: Amount): SandboxSample {
  return {
    ...{ teamId: TEAM, sandboxId: `sampled${index % sampled}` },
    timeMs: BEGIN_MS + Math.floor(index / sampled) * 5_000,
    ...{
      cpuCount: 2,
      cpuUsedPct: index % 100,
      memUsed: index * 4_096,
      memTotal: 536_870_912,
      memCache: index,
    },
    ...{ diskUsed: index * 512, diskTotal: 10_737_418_240 },
  };
}

export function lineAt(index: number, { logged }: Amount): SandboxLog {
  return {
    ...{
      teamId: TEAM,
      sandboxId: `logged${index % logged}`,
      timeMs: BEGIN_MS + Math.floor(index / logged) * 100,
    },
    ...{ level: index % 10 === 0 ? 'warn' : 'info', logger: 'process' },
    message: `process ${index} has ended with status ${index % 256}`,
    fields: { pid: String(index % 32_768), cmd: '/bin/sh' },
  };
}
