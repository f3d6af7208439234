import { describe, expect, it } from 'vitest';
import { parseTemplateReference } from './reference.ts';

describe('parseTemplateReference', () => {
  it.each([
    ['base', { name: 'base' }],
    [' Base ', { name: 'base' }],
    ['base:default', { name: 'base' }],
    ['base:v1.2', { name: 'base', tag: 'v1.2' }],
    ['team-x/my_tpl:v1', { namespace: 'team-x', name: 'my_tpl', tag: 'v1' }],
  ])('reads %j', (text, reference) => {
    expect(parseTemplateReference(text)).toEqual(reference);
  });

  it.each(['', ':v1', '/a', 'a/', 'a/b/c', 'a:b:c', 'a:', 'a b', '../x', 'a\0', 'ä', 'a'.repeat(300)])(
    'refuses %j',
    (text) => {
      expect(() => parseTemplateReference(text)).toThrow('Invalid template: ');
    },
  );
});
