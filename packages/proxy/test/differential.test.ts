import fc from 'fast-check';
import { expect, it } from 'vitest';
import { generatedAnswer } from './answers.ts';
import { disagreement } from './fuzz-response.ts';
import { readResponse } from './read-response.ts';

it('accepts no answer that llhttp refuses or reads otherwise, however it is cut', () => {
  let accepted = 0;
  fc.assert(
    fc.property(generatedAnswer, ({ bytes, situation, places }) => {
      expect(disagreement(bytes, situation, places)).toBeUndefined();
      if (readResponse([bytes], situation).complete) accepted++;
    }),
    { numRuns: 8000 },
  );
  // What is refused is never compared: enough of the answers have to be good ones.
  expect(accepted).toBeGreaterThan(1500);
});
