import { describe, expect, it } from 'vitest';
import { formatRateRule, parseRateRule } from './rates.ts';

describe('a rate', () => {
  it('is read with its burst, which is a period’s requests unless it is said', () => {
    expect(parseRateRule('50/s')).toEqual({ requests: 50, periodMs: 1_000, burst: 50 });
    expect(parseRateRule('600/m:100')).toEqual({ requests: 600, periodMs: 60_000, burst: 100 });
    expect(parseRateRule('none')).toBe('none');
  });

  it.each(['50/s', '600/m:100', '20000/h:1', 'none'])('is written as it was read: %s', (text) => {
    expect(formatRateRule(parseRateRule(text))).toBe(text);
  });

  it.each(['', '50', '0/s', '50/d', '50/s:', '50/s:0', '-1/s', '1.5/s', '50/s:100:3', '12345678/s', 'None'])(
    'is refused: %j',
    (text) => {
      expect(() => parseRateRule(text)).toThrow('must be requests in a time, such as 50/s');
    },
  );
});
