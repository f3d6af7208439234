import { parentPort } from 'node:worker_threads';
import { StateFileError, TornFileError } from './chunk-reader.ts';
import { repairEpolls } from './epoll-repairs.ts';
import { assertAllPages } from './pages.ts';

/** What the thread of `RepairThread` is asked, one at a time. */
export interface RepairTask {
  snapshotDir: string;
}

export type RepairAnswer = { found: number } | { message: string; fault: 'torn' | 'unreadable' | 'other' };

const say = (answer: RepairAnswer) => parentPort?.postMessage(answer);

parentPort?.on('message', ({ snapshotDir }: RepairTask) => {
  repair(snapshotDir).then(
    (found) => say({ found }),
    (error: Error) => say({ message: error.message, fault: faultOf(error) }),
  );
});

async function repair(snapshotDir: string): Promise<number> {
  const found = await repairEpolls(snapshotDir);
  // Behind it: a table that cannot be read must not keep a checkpoint from its repair.
  await assertAllPages(snapshotDir);
  return found;
}

function faultOf(error: NodeJS.ErrnoException) {
  if (error instanceof TornFileError || error.code === 'ENOENT') return 'torn';
  return error instanceof StateFileError ? 'unreadable' : 'other';
}
