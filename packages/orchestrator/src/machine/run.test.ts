import { Value } from 'typebox/value';
import { expect, it } from 'vitest';
import { MachineBase } from './run.ts';

it('takes no digest of another node that leads out of a folder, or has no end', () => {
  const isBase = (rootfs: string) => Value.Check(MachineBase, { rootfs, guest: 'c0ffee' });
  expect(isBase('c0ffee')).toBe(true);
  for (const rootfs of ['', '.', '..', '../roots', '/etc', 'a/b', 'a\n', 'a'.repeat(101)]) {
    expect(isBase(rootfs)).toBe(false);
    expect(Value.Check(MachineBase, { rootfs: 'c0ffee', guest: rootfs })).toBe(false);
  }
  expect(Value.Check(MachineBase, { rootfs: 'c0ffee' })).toBe(false);
});
