import { percentile } from '../report/statistics.ts';
import { formatNumber } from '../report/table.ts';
import type { Beside } from './beside.ts';
import { type Seen, WORK, type Work } from './neighbour.ts';

/** Milliseconds. */
interface Percentiles {
  p50: number;
  p99: number;
}

/** What a piece of work took beside an abuse, and alone. */
export interface Line {
  abuse: string;
  work: Work;
  alone: Percentiles;
  beside: Percentiles;
  /** Of the p99s. */
  ratio: number;
  /** The same of a server that only passes requests on to the same sandbox: what nobody on this machine could avoid. */
  bareRatio: number;
  samples: { alone: number; beside: number };
  /** What the thread of Islet's that ran most waited for a processor beside the abuse, by what it ran: the machine's share of the wait. */
  waited: number;
  isFair: boolean;
}

/** @param most that the p99 may be beside the abuse, as a multiple of the one alone */
export function compare({ abuse, loud, main, other }: Beside, alone: Seen, most: number): Line[] {
  const busiest = main.ran > other.ran ? main : other;
  return WORK.map((work) => {
    const ratio = p99(loud.islet[work]) / p99(alone.islet[work]);
    return {
      ...{ abuse, work, ratio, isFair: ratio <= most, waited: busiest.waited / busiest.ran },
      alone: percentiles(alone.islet[work]),
      beside: percentiles(loud.islet[work]),
      bareRatio: p99(loud.bare[work]) / p99(alone.bare[work]),
      samples: { alone: alone.islet[work].length, beside: loud.islet[work].length },
    };
  });
}

const p99 = (samples: readonly number[]) => percentile(samples, 0.99);
const percentiles = (samples: readonly number[]): Percentiles => ({
  p50: percentile(samples, 0.5),
  p99: p99(samples),
});

const HEAD = [
  'beside',
  'work',
  'alone p50 / p99 ms',
  'beside p50 / p99 ms',
  'ratio',
  'bare',
  'waited',
  'samples',
  '',
];

export function renderLines(lines: readonly Line[]): string {
  const pair = ({ p50, p99 }: Percentiles) => `${formatNumber(p50)} / ${formatNumber(p99)}`;
  const rows = lines.map(({ abuse, work, alone, beside, ratio, bareRatio, waited, samples, isFair }) => [
    ...[abuse, work, pair(alone), pair(beside), `${ratio.toFixed(2)} ×`, `${bareRatio.toFixed(2)} ×`],
    `${waited.toFixed(1)} ×`,
    ...[`${samples.alone} / ${samples.beside}`, isFair ? '' : 'over'],
  ]);
  const all = [HEAD, ...rows];
  const widths = HEAD.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
