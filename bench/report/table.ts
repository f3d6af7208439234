import type { Result } from './measurement.ts';

const HEAD = ['measured', 'p50 / p99', 'baseline p50 / p99', 'ratio', 'target', 'met'];
/** Columns of figures are aligned to the right. */
const RIGHT = new Set([1, 2, 3]);

/** The report as text: a line for each result, and one more for each further target of it. */
export function renderTable(results: readonly Result[]): string {
  const rows = [HEAD, ...results.flatMap(linesOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const rule = widths.map((width) => '─'.repeat(width));
  return [rows[0] ?? [], rule, ...rows.slice(1)]
    .map((row) => widths.map((width, column) => pad(row[column] ?? '', width, RIGHT.has(column))).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

function linesOf(result: Result): string[][] {
  const { what, unit, figure, baseline, ratio, verdicts } = result;
  const [first, ...others] = verdicts;
  const told = [
    what,
    `${pair(figure.p50, figure.p99)} ${unit}`,
    baseline ? `${baseline.what} ${pair(baseline.figure.p50, baseline.figure.p99)} ${unit}` : '–',
    ratio === undefined ? '–' : `${formatNumber(ratio)} ×`,
  ];
  const judged = (verdict = first) => (verdict ? [verdict.target, verdict.met ? 'yes' : 'no'] : ['–', '–']);
  return [[...told, ...judged()], ...others.map((verdict) => ['', '', '', '', ...judged(verdict)])];
}

function pair(p50: number, p99: number): string {
  return `${formatNumber(p50)} / ${formatNumber(p99)}`;
}

/** Three digits that count, none of them lost from whole numbers. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function pad(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : text.padEnd(width);
}
