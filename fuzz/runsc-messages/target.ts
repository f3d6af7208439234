import { lastMessage, processIds, RunscFormatError } from '../../packages/driver-gvisor/src/runsc-files.ts';
import type { FuzzTarget } from '../target.ts';

const RELEASE = { name: 'release-20260525.0', isTested: false };

export const target: FuzzTarget = {
  description: 'what runsc logs of a command, some of it said by the sandbox, and the state that it keeps',
  run(input) {
    const text = input.toString('utf8');
    if ((lastMessage(text)?.length ?? 0) > 500) throw new RangeError('a long message');
    for (const pid of pidsOf(text))
      if (!(Number.isInteger(pid) && pid > 0 && pid < 2 ** 31)) throw new RangeError(`a process ${pid}`);
  },
};

function pidsOf(text: string): number[] {
  try {
    return processIds(text, RELEASE);
  } catch (error) {
    if (error instanceof RunscFormatError) return [];
    throw error;
  }
}
