import { expect, it } from 'vitest';
import { Clock } from './clock.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const logger = { log() {} };

it.each([
  ['40 ms behind, which its way may have taken', 40, false],
  ['60 ms behind', 60, true],
  ['4.5 s ahead', -4500, false],
  ['5.5 s ahead', -5500, true],
])('a clock that is %s', (_is, behindMs, stepped) => {
  const steps: number[] = [];
  const machine = { setClock: (ms: number) => void steps.push(ms) };
  new Clock({ machine, now: () => NOW, logger }).keep(NOW + behindMs);
  expect(steps).toEqual(stepped ? [NOW + behindMs] : []);
});

it('is left alone if it is the host’s, or nobody’s to set', () => {
  const machine = {
    setClock() {
      throw new Error('EPERM');
    },
  };
  for (const each of [machine, undefined]) {
    const clock = new Clock({ machine: each, now: () => NOW, logger });
    expect(() => clock.keep(NOW + 60_000)).not.toThrow();
  }
});
