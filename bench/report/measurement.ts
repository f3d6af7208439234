import { type Summary, summarise } from './statistics.ts';

/** MB and MB/s count millions of bytes; `things` are whatever the line says. */
export type Unit = 'ms' | 'MB' | 'MB/s' | 'requests/s' | 'things';

/** What a measurement is held against. Ratios and differences are those of the medians unless they say otherwise. */
export type Target =
  | { kind: 'at-most'; of: 'p50' | 'p99'; value: number; when?: string }
  | { kind: 'ratio-at-most' | 'ratio-at-least'; of?: 'p50' | 'p99'; value: number; when?: string }
  | { kind: 'added-at-most'; value: number; when?: string };

export interface Series {
  what: string;
  samples: readonly number[];
}

/** One line of the report: what was measured, what beside it in the same run, and what both should be. */
export interface Measurement {
  row: string;
  what: string;
  unit: Unit;
  samples: readonly number[];
  baseline?: Series;
  targets: readonly Target[];
}

export interface Verdict {
  target: string;
  met: boolean;
}

/** A measurement summed up and judged. */
export interface Result {
  row: string;
  what: string;
  unit: Unit;
  figure: Summary;
  baseline?: { what: string; figure: Summary };
  /** Median of the figure to that of the baseline. */
  ratio?: number;
  verdicts: Verdict[];
}

/** @throws RangeError if nothing was measured, TypeError if a target needs a baseline that is not there. */
export function judge(measurement: Measurement): Result {
  const { row, what, unit, samples, baseline, targets } = measurement;
  const figure = summarise(samples);
  const base = baseline && { what: baseline.what, figure: summarise(baseline.samples) };
  return {
    row,
    what,
    unit,
    figure,
    ...(base && { baseline: base, ratio: figure.p50 / base.figure.p50 }),
    verdicts: targets.map((target) => ({
      target: describeTarget(target, unit),
      met: isMet(target, figure, base?.figure),
    })),
  };
}

function isMet(target: Target, figure: Summary, baseline: Summary | undefined): boolean {
  if (target.kind === 'at-most') return figure[target.of] <= target.value;
  if (!baseline) throw new TypeError(`a target of kind ${target.kind} needs a baseline`);
  switch (target.kind) {
    case 'ratio-at-most':
      return figure[target.of ?? 'p50'] / baseline[target.of ?? 'p50'] <= target.value;
    case 'ratio-at-least':
      return figure[target.of ?? 'p50'] / baseline[target.of ?? 'p50'] >= target.value;
    case 'added-at-most':
      return figure.p50 - baseline.p50 <= target.value;
  }
}

export function describeTarget(target: Target, unit: Unit): string {
  const when = target.when === undefined ? '' : `${target.when}: `;
  switch (target.kind) {
    case 'at-most':
      return `${when}${target.of} ≤ ${target.value} ${unit}`;
    case 'ratio-at-most':
      return `${when}${share(target)}≤ ${target.value} ×`;
    case 'ratio-at-least':
      return `${when}${share(target)}≥ ${target.value} ×`;
    case 'added-at-most':
      return `${when}≤ ${target.value} ${unit} added`;
  }
}

const share = ({ of }: { of?: 'p50' | 'p99' }): string => (of === undefined ? '' : `${of} `);
