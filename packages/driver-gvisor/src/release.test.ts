import { expect, it } from 'vitest';
import { parseRelease, untestedTrouble } from './release.ts';

it.each([
  ['runsc version 0.0~20240729.0\nspec: 1.2.0\n', '0.0~20240729.0', true],
  ['runsc version release-20240729.0\nspec: 1.1.0\n', 'release-20240729.0', true],
  ['runsc version release-20260525.0\nspec: 1.2.1\n', 'release-20260525.0', false],
  ['runsc version 120240729.0\n', '120240729.0', false],
  ['runsc version 90a116890fce\n', '90a116890fce', false],
  ['', 'unknown', false],
])('reads %j as %s, tested: %s', (text, name, isTested) => {
  expect(parseRelease(text)).toEqual({ name, isTested });
});

it('says of an untested release what was found, what was tested and what to do', () => {
  const trouble = untestedTrouble({ name: 'release-20260525.0', isTested: false });
  expect(trouble?.cause).toContain('tested with release 20240729, not with release-20260525.0');
  expect(trouble?.fix).toContain("Debian 13's runsc");
  expect(untestedTrouble({ name: '0.0~20240729.0', isTested: true })).toBeUndefined();
});
