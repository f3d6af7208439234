import { describe, expect, it } from 'vitest';
import { parseOptions, UsageError } from './options.ts';

describe('what the tests on machines are asked for', () => {
  it('is every machine, translated, if nothing else was said', () => {
    expect(parseOptions([])).toMatchObject({ only: [], accelerator: 'tcg', memoryMib: 4096, json: false });
  });

  it('may be some machines, in one word or several', () => {
    expect(parseOptions(['--only', 'a,b', '--only=c', '--json']).only).toEqual(['a', 'b', 'c']);
  });

  it.each([[['--accel', 'hvf']], [['--memory', '0x10']], [['--memory', '12']], [['--no-such']], [['name']]])(
    'is refused with what would do: %j',
    (args) => {
      expect(() => parseOptions(args)).toThrow(UsageError);
    },
  );
});
