import { parseArgs } from 'node:util';
import type { Size } from './rows/row.ts';

export interface BenchOptions {
  size: Size;
  /** Names of the rows to measure, in the order of the report. */
  rows: string[];
  /** Where the JSON goes instead of bench/results/. */
  json: string | undefined;
  help: boolean;
}

/** What was asked for makes no sense. The message says what would. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError */
export function parseOptions(args: readonly string[], known: readonly string[]): BenchOptions {
  const { quick, json, only, help } = parse(args);
  const wanted = only.flatMap((names) => names.split(',')).filter((name) => name !== '');
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`there is no row '${unknown}'; there are ${known.join(', ')}`);
  return {
    size: quick ? 'quick' : 'full',
    rows: wanted.length === 0 ? [...known] : known.filter((name) => wanted.includes(name)),
    json,
    help,
  };
}

function parse(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        only: { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    return { ...values, json: values.json };
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}
