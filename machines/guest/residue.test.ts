import { describe, expect, it } from 'vitest';
import { expectNothingLeft } from './residue.ts';

describe('what is left on a machine', () => {
  const before = ['mount /', 'mount /run', 'link lo', 'mount /run'];

  it('is nothing if all of it was there before, as often', () => {
    expect(() => expectNothingLeft(before, ['link lo', 'mount /run', 'mount /run'])).not.toThrow();
  });

  it.each([
    ['something new', [...before, 'namespace islet-abc-1']],
    ['one more of what was there', [...before, 'mount /run']],
  ])('is named if it is %s', (_, after) => {
    expect(() => expectNothingLeft(before, after)).toThrow(after.at(-1));
  });
});
