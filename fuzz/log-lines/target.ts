import { parseLine } from '../../packages/sinks/src/logs/memory.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: 'a line of a log as it was kept, of which sandboxes write a part',
  run(input) {
    const log = parseLine(input.toString('utf8'));
    if (log && typeof log.message !== 'string') throw new TypeError('a line without a message');
    if (log) new Date(log.timeMs).toISOString();
  },
};
