import fc from 'fast-check';
import { expect, it } from 'vitest';
import { generatedAnswer } from './answers.ts';
import { disagreement } from './fuzz-response.ts';
import { readResponse } from './read-response.ts';

const CASES = Number(process.env.ISLET_DIFFERENTIAL_CASES ?? 8000);

it('accepts no answer that llhttp refuses or reads otherwise, however it is cut', () => {
  let accepted = 0;
  fc.assert(
    fc.property(generatedAnswer, ({ bytes, situation, places }) => {
      expect(disagreement(bytes, situation, places)).toBeUndefined();
      if (readResponse([bytes], situation).complete) accepted++;
    }),
    { numRuns: CASES },
  );
  // What is refused is never compared: enough of the answers have to be good ones.
  expect(accepted).toBeGreaterThan(CASES * 0.18);
});
