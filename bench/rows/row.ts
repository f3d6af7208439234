import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import type { BareRuntime } from '../host/bare-runtime.ts';
import type { BenchIslet } from '../islet/bench-islet.ts';
import type { RoundsOptions } from '../pace/rounds.ts';
import type { Measurement } from '../report/measurement.ts';

export type Size = 'quick' | 'full';

/** What a row measures with. */
export interface RowContext extends RoundsOptions {
  size: Size;
  islet: BenchIslet;
  /** How to reach the Islet that runs now. */
  access: InstanceAccess;
  /** The runtime without Islet, restoring the snapshot of Islet's base template. Opened at first use. */
  bare: () => Promise<BareRuntime>;
}

/** A part of the benchmark that can be run alone. */
export interface Row {
  name: string;
  /** For the help. */
  description: string;
  measure(context: RowContext): Promise<Measurement[]>;
}
