import { describe, expect, it } from 'vitest';
import { parseOptions, UsageError } from './options.ts';

const KNOWN = ['start', 'create', 'memory'];

describe('options of the benchmark', () => {
  it('measures everything in full if nothing is asked for', () => {
    expect(parseOptions([], KNOWN)).toEqual({ size: 'full', rows: KNOWN, json: undefined, help: false });
  });

  it('takes rows one by one or as a list, each once, in the order of the report', () => {
    const { rows } = parseOptions(['--only', 'memory', '--only=start,memory'], KNOWN);
    expect(rows).toEqual(['start', 'memory']);
  });

  it('reads the rest', () => {
    const options = parseOptions(['--quick', '--json', 'out.json', '-h'], KNOWN);
    expect(options).toMatchObject({ size: 'quick', json: 'out.json', help: true });
  });

  it.each([
    [['--only', 'nothing'], "there is no row 'nothing'; there are start, create, memory"],
    [['--fast'], '--fast'],
    [['--json'], '--json'],
    [['extra'], 'extra'],
  ])('refuses %j and says why', (args, message) => {
    expect(() => parseOptions(args, KNOWN)).toThrow(UsageError);
    expect(() => parseOptions(args, KNOWN)).toThrow(message);
  });
});
