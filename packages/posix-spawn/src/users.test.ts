import { describe, expect, it } from 'vitest';
import { idsOfNamespace, userOf } from './users.ts';

describe('ids of a user namespace', () => {
  it('are told apart from those of the machine', () => {
    expect(idsOfNamespace('         0          0 4294967295\n')).toBeUndefined();
    expect(idsOfNamespace('         0       1000          1\n         1     100000      65535\n')).toBe(
      65_536,
    );
    expect(idsOfNamespace('0 1000 1\n')).toBe(1);
  });

  it('end at the first gap', () => {
    expect(idsOfNamespace('100 5000 10\n0 1000 1\n1 100000 9\n')).toBe(10);
  });
});

describe('the user of a program that reads strangers’ bytes', () => {
  it('is nobody else’s', () => {
    expect(userOf('puller', undefined)).toBeGreaterThan(1_000_000_000);
    expect(userOf('puller', 65_536)).not.toBe(userOf('gateway', 65_536));
    for (const program of ['puller', 'gateway'] as const) {
      expect(userOf(program, 65_536)).toBeGreaterThan(60_000);
      expect(userOf(program, 65_536)).toBeLessThan(65_534);
    }
  });

  it('needs a range of ids', () => {
    expect(() => userOf('gateway', 1)).toThrow(/\/etc\/subuid/);
  });
});
