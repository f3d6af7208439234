import { outputLines } from '../../packages/template-manager/src/host/output-lines.ts';
import { assertSplitInvariant, type Outcome } from '../outcomes.ts';
import type { FuzzTarget } from '../target.ts';

/** The longest line that is shown, in characters. */
const LONGEST = 16_384;
/** With the one that says how many were left out. */
const MOST_LINES = 20_001;

export const target: FuzzTarget = {
  description: 'what the commands of a build write',
  maxBytes: 256 * 1024,
  run(input) {
    const whole = read([input]);
    if (whole.values.length > MOST_LINES) throw new RangeError(`${whole.values.length} lines`);
    for (const line of whole.values as string[])
      if (line.length > LONGEST || line.includes('\n')) throw new RangeError('a line is too long, or two');
    assertSplitInvariant(input, whole, read);
  },
};

function read(pieces: readonly Buffer[]): Outcome {
  const values: string[] = [];
  const { end, push } = outputLines((line) => values.push(line));
  for (const piece of pieces) push(piece);
  end();
  return { values, error: undefined };
}
