import { describe, expect, it } from 'vitest';
import { judge, type Measurement, type Target } from './measurement.ts';

const measured = (samples: number[], baseline: number[] | undefined, targets: Target[]): Measurement => ({
  row: 'create',
  what: 'create',
  unit: 'ms',
  samples,
  ...(baseline && { baseline: { what: 'bare', samples: baseline } }),
  targets,
});

const verdicts = (measurement: Measurement) => judge(measurement).verdicts.map(({ met }) => met);

describe('judge', () => {
  it('compares medians, so that one outlier changes no ratio', () => {
    const result = judge(measured([10, 12, 900], [5, 6, 7], []));
    expect(result.ratio).toBe(2);
    expect(result.figure).toMatchObject({ p50: 12, p99: 900 });
    expect(result.baseline).toMatchObject({ what: 'bare', figure: { p50: 6 } });
  });

  it('has no ratio without a baseline', () => {
    expect(judge(measured([1], undefined, []))).not.toHaveProperty('ratio');
  });

  it('holds each target for itself, limits included', () => {
    const targets: Target[] = [
      { kind: 'at-most', of: 'p50', value: 10 },
      { kind: 'at-most', of: 'p99', value: 29 },
      { kind: 'ratio-at-most', value: 1.25 },
      { kind: 'ratio-at-most', value: 1.2 },
      { kind: 'ratio-at-least', value: 1.25 },
      { kind: 'ratio-at-least', value: 1.3 },
      { kind: 'added-at-most', value: 2 },
      { kind: 'added-at-most', value: 1.9 },
    ];
    expect(verdicts(measured([10, 10, 30], [8, 8, 8], targets))).toEqual([
      true,
      false,
      true,
      false,
      true,
      false,
      true,
      false,
    ]);
  });

  it('says what each target asks for, and when', () => {
    const targets: Target[] = [
      { kind: 'at-most', of: 'p99', value: 30, when: 'warm' },
      { kind: 'ratio-at-most', value: 0.15 },
      { kind: 'ratio-at-least', value: 0.7 },
      { kind: 'added-at-most', value: 1 },
    ];
    const result = judge(measured([1], [1], targets));
    expect(result.verdicts.map(({ target }) => target)).toEqual([
      'warm: p99 ≤ 30 ms',
      '≤ 0.15 ×',
      '≥ 0.7 ×',
      '≤ 1 ms added',
    ]);
  });

  it('refuses a target that needs a baseline if there is none, and a series of nothing', () => {
    expect(() => judge(measured([1], undefined, [{ kind: 'ratio-at-most', value: 1 }]))).toThrow(TypeError);
    expect(() => judge(measured([], undefined, []))).toThrow(RangeError);
  });
});
