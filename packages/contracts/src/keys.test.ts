import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateKey, hashKey, keyDefect, maskKey, storedHashDefect } from './keys.ts';

describe('hashKey', () => {
  it('gives the values that the protocol publishes', () => {
    expect(hashKey('api', 'e2b_53ae1fed82754c17ad8077fbc8bcdd90')).toBe(
      '$sha256$RLrLQtatBzJCfetucGulV+lw+EZ/YXV1/3LBxlsAXYk',
    );
    expect(hashKey('access', 'sk_e2b_89215020937a4c989cde33d7bc647715')).toBe(
      '$sha256$wfnRCUXfDM3oHtm8Y/FiQ3UV+NKl0zS0qOTH6tUF1Bk',
    );
  });

  it('does not depend on the case of the hex digits', () => {
    expect(hashKey('api', 'e2b_ABCDEF')).toBe(hashKey('api', 'e2b_abcdef'));
  });

  it('refuses what is no key', () => {
    expect(() => hashKey('api', 'sk_e2b_00')).toThrow(RangeError);
    expect(() => hashKey('api', 'e2b_0')).toThrow(RangeError);
  });
});

describe('keyDefect', () => {
  it.each([
    ['', 'prefix'],
    ['E2B_00', 'prefix'],
    ['e2b_', 'format'],
    ['e2b_xyz0', 'format'],
    ['e2b_000', 'format'],
    ['e2b_00', undefined],
  ])('%j is %s', (key, defect) => {
    expect(keyDefect('api', key)).toBe(defect);
  });
});

describe('storedHashDefect', () => {
  it('accepts every hash that a generated key stores', () => {
    for (let i = 0; i < 20; i++) expect(storedHashDefect(generateKey('api').hash)).toBeUndefined();
  });

  it.each([
    ['$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy', 'bcrypt'],
    ['$argon2id$v=19$m=65536', 'argon2'],
    ['e2b_53ae1fed82754c17ad8077fbc8bcdd90', 'raw key'],
    ['a'.repeat(64), 'hexadecimal'],
    ['RLrLQtatBzJCfetucGulV+lw+EZ/YXV1/3LBxlsAXYk', 'prefix'],
    ['$sha256$RLrLQtatBzJCfetucGulV+lw+EZ/YXV1/3LBxlsAXYk=', 'padded'],
    ['$sha256$RLrL', '4 characters'],
  ])('names what is wrong with %s', (hash, word) => {
    expect(storedHashDefect(hash)).toContain(word);
  });
});

describe('maskKey', () => {
  it('shows two and four characters', () => {
    expect(maskKey('api', 'e2b_53ae1fed82754c17ad8077fbc8bcdd90')).toEqual({
      prefix: 'e2b_',
      valueLength: 32,
      maskedValuePrefix: '53',
      maskedValueSuffix: 'dd90',
    });
  });

  it('never shows a character twice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 5, max: 60 }), (length) => {
        const mask = maskKey('api', `e2b_${'a'.repeat(length)}`);
        expect(mask.maskedValuePrefix.length + mask.maskedValueSuffix.length).toBeLessThanOrEqual(length);
      }),
    );
  });
});
