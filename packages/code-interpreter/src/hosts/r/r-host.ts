import { join } from 'node:path';
import type { MakeHost } from '../host.ts';
import { ProcessHost } from '../process/process-host.ts';

/** R and its packages are read from a disk that may be cold. */
const START_MS = 60_000;

/**
 * R in a process of its own; it needs R's package jsonlite.
 * @param directory where `host.R` is
 */
export function rHost(directory: string): MakeHost {
  const args = ['--no-save', '--no-restore', '--no-echo', `--file=${join(directory, 'host.R')}`];
  return () => new ProcessHost({ command: 'R', args, startMs: START_MS });
}
