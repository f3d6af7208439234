import { execFile } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { Size } from '../rows/row.ts';
import type { Result } from './measurement.ts';

/** A run's report as JSON. */
export interface ReportDocument {
  version: 1;
  /** ISO 8601. */
  takenAt: string;
  size: Size;
  commit: string;
  machine: Machine;
  seconds: number;
  results: Result[];
  /** Rows that could not be measured. */
  failures: { row: string; error: string }[];
}

export interface Machine {
  cpuCount: number;
  cpuModel: string;
  memoryBytes: number;
  kernel: string;
  node: string;
  runsc: string;
}

/** What the figures depend on. */
export async function describeMachine(): Promise<Machine> {
  return {
    cpuCount: cpus().length,
    cpuModel: cpus()[0]?.model ?? 'unknown',
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    runsc: (await firstLine('runsc', ['--version'])).replace(/^runsc version /, ''),
  };
}

/** The commit that is checked out, or `unknown` if this is no checkout. */
export function currentCommit(): Promise<string> {
  return firstLine('git', ['rev-parse', '--short', 'HEAD']);
}

async function firstLine(file: string, args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(file, args, { cwd: import.meta.dirname });
    return stdout.split('\n')[0] ?? '';
  } catch {
    return 'unknown';
  }
}
