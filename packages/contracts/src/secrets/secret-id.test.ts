import { describe, expect, it } from 'vitest';
import { isSecretId, newSecretId } from './secret-id.ts';
import { canonicalSecretName } from './secret-name.ts';

describe('ids of secrets', () => {
  it('hold their time, in an order, and differ', () => {
    const ids = [1, 2, 2 ** 32, Date.now()].map(newSecretId);
    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(isSecretId(id)).toBe(true);
    expect(newSecretId(5)).not.toBe(newSecretId(5));
    // 0x019fa519bf79 is the time of 019fa519-bf79-7…, which TypeID writes as 01kyjhkfvs.
    expect(newSecretId(0x019fa519bf79)).toMatch(/^sec_01kyjhkfvs[ef]/);
  });

  it.each(['sec_', 'sec_81kyjhkfvse96rg4d2qzd9enft', 'sec_01kyjhkfvse96rg4d2qzd9enfu', 'k'])(
    'are none: %j',
    (text) => expect(isSecretId(text)).toBe(false),
  );
});

describe('names of secrets', () => {
  it.each([
    ['  API-Key_1  ', 'api-key_1'],
    ['secret-key', 'secret-key'],
    ['a'.repeat(128), 'a'.repeat(128)],
  ])('%j have one spelling', (text, name) => expect(canonicalSecretName(text)).toBe(name));

  it.each(['', ' ', 'a b', 'SEC_x', 'é', '\u212a', 'a'.repeat(129), 'a.b'])('are none: %j', (text) =>
    expect(canonicalSecretName(text)).toBeUndefined(),
  );
});
