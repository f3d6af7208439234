import { expect, it } from 'vitest';
import { judge } from './measurement.ts';
import { formatNumber, renderTable } from './table.ts';

it('shows figure, baseline, ratio, and a line for each target', () => {
  const results = [
    judge({
      row: 'create',
      what: 'create, one at a time',
      unit: 'ms',
      samples: [200, 300],
      baseline: { what: 'bare restore', samples: [160, 170] },
      targets: [
        { kind: 'ratio-at-most', value: 1.25, when: 'cold' },
        { kind: 'at-most', of: 'p50', value: 10, when: 'warm' },
      ],
    }),
    judge({ row: 'memory', what: 'RSS, idle', unit: 'MB', samples: [65.43], targets: [] }),
  ];
  expect(renderTable(results)).toBe(
    [
      'measured                    p50 / p99         baseline p50 / p99   ratio  target             met',
      '─────────────────────  ──────────────  ─────────────────────────  ──────  ─────────────────  ───',
      'create, one at a time    200 / 300 ms  bare restore 160 / 170 ms  1.25 ×  cold: ≤ 1.25 ×     yes',
      '                                                                          warm: p50 ≤ 10 ms  no',
      'RSS, idle              65.4 / 65.4 MB                          –       –  –                  –',
      '',
    ].join('\n'),
  );
});

it.each([
  [0, '0.00'],
  [0.456, '0.46'],
  [45.67, '45.7'],
  [456.7, '457'],
  [12_345.6, '12346'],
])('writes %d as %s', (value, text) => {
  expect(formatNumber(value)).toBe(text);
});
