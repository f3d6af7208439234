import { EnvdAnswerError } from '../../packages/orchestrator/src/envd/answers.ts';
import { JournalLines } from '../../packages/orchestrator/src/past/journal-lines.ts';
import { assertSplitInvariant, type Outcome } from '../outcomes.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: "the stream of records that a sandbox's daemon sends, in whose place root may send anything",
  // Longer than the longest record.
  maxBytes: 128 * 1024,
  run(input) {
    assertSplitInvariant(input, read([input]), read);
  },
};

function read(pieces: readonly Buffer[]): Outcome {
  const values: unknown[] = [];
  const lines = new JournalLines();
  try {
    for (const piece of pieces) for (const line of lines.take(piece)) values.push(line);
    return { values, error: undefined };
  } catch (error) {
    if (!(error instanceof EnvdAnswerError)) throw error;
    return { values, error: error.message };
  }
}
