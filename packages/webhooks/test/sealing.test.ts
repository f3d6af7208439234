import { expect, it } from 'vitest';
import { createSealing } from '../src/index.ts';

const sealing = createSealing('a'.repeat(64));

it('opens what it sealed, and tells it to no reader of the database', () => {
  const [first, second] = [sealing.seal('sécret', 'team/hook'), sealing.seal('sécret', 'team/hook')];
  expect(first).not.toBe(second);
  expect(first).not.toContain(Buffer.from('sécret').toString('base64url'));
  expect(createSealing('a'.repeat(64)).open(first, 'team/hook')).toBe('sécret');
});

it('opens nothing of another owner, another key, or that was changed', () => {
  const sealed = sealing.seal('secret', 'team/hook');
  expect(() => sealing.open(sealed, 'team/other')).toThrow();
  expect(() => createSealing('b'.repeat(64)).open(sealed, 'team/hook')).toThrow('under another key');
  const content = sealed.slice(sealed.lastIndexOf('.') + 1);
  const bytes = Buffer.from(content, 'base64url');
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    expect(() => sealing.open(sealed.replace(content, changed.toString('base64url')), 'team/hook')).toThrow();
  }
  for (const text of ['', 'v1', 'v2.x.y', sealed.slice(0, -4)]) {
    expect(() => sealing.open(text, 'team/hook')).toThrow();
  }
});
