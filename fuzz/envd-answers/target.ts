import {
  EnvdAnswerError,
  parseClock,
  parseJournalLine,
  parseMetrics,
  parseRefusal,
  parseRemovedFiles,
} from '../../packages/orchestrator/src/envd/answers.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: "what a sandbox's daemon answers its node, in whose place root in the sandbox may answer",
  run(input) {
    const text = input.toString('utf8');
    for (const parse of [parseMetrics, parseRemovedFiles, parseJournalLine]) allowed(() => parse(text));
    const clock = parseClock(text) ?? 0;
    if (!(clock >= 0 && clock < 1e15)) throw new RangeError(`a clock at ${clock}`);
    if (typeof parseRefusal(text) !== 'string') throw new TypeError('a refusal is no text');
  },
};

function allowed(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof EnvdAnswerError)) throw error;
  }
}
