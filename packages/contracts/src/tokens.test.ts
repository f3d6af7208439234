import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  envdAccessToken,
  matchesDigest,
  secretsEqual,
  signFile,
  tokenDigest,
  trafficAccessToken,
} from './tokens.ts';

it('derives different, stable tokens for a sandbox', () => {
  expect(envdAccessToken('seed', 'iabc')).toMatch(/^[0-9a-f]{64}$/);
  expect(envdAccessToken('seed', 'iabc')).toBe(envdAccessToken('seed', 'iabc'));
  expect(envdAccessToken('seed', 'iabc')).not.toBe(trafficAccessToken('seed', 'iabc'));
});

it('signs the fields that the protocol names, in its order', () => {
  const expected = createHash('sha256').update('/a:read::tok:17').digest('base64').replace(/=+$/, '');
  expect(
    signFile({ path: '/a', operation: 'read', username: '', envdAccessToken: 'tok', expiration: 17 }),
  ).toBe(`v1_${expected}`);
});

it('compares secrets of any length', () => {
  expect(secretsEqual('a', 'a')).toBe(true);
  expect(secretsEqual('a', 'ab')).toBe(false);
});

it('recognizes a token by its digest, which does not hold it', () => {
  const digest = tokenDigest('token');
  expect(digest).not.toContain('token');
  expect(matchesDigest('token', digest)).toBe(true);
  expect(matchesDigest('tokens', digest)).toBe(false);
  for (const bad of ['', 'x', digest.slice(1)]) expect(matchesDigest('token', bad)).toBe(false);
});
