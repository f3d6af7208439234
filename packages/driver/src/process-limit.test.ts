import { expect, it } from 'vitest';
import { processLimit } from './process-limit.ts';

it.each([
  ['is one a MiB of its memory', 1024, 1024],
  ['is enough for ordinary programs in a small one', 128, 256],
  ['is bounded in a big one', 65_536, 8192],
])('the number of a sandbox’s processes %s', (_, memoryMb, most) => {
  expect(processLimit(memoryMb)).toBe(most);
});
