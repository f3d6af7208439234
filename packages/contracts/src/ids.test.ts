import { describe, expect, it } from 'vitest';
import { newSandboxId, parseSandboxId } from './ids.ts';

describe('parseSandboxId', () => {
  it('takes an id and the legacy form of it', () => {
    const id = newSandboxId();
    expect(id).toMatch(/^i[a-z0-9]{20}$/);
    expect(parseSandboxId(id)).toBe(id);
    expect(parseSandboxId(`${id}-6532622b`)).toBe(id);
  });

  it.each(['', '-', 'A', 'a-b-c', 'a-', 'a/b', '../x', 'a\0', 'ä', 'a'.repeat(65)])('refuses %j', (text) => {
    expect(() => parseSandboxId(text)).toThrow('Invalid sandbox ID');
  });
});
