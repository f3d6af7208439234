import { parentPort } from 'node:worker_threads';
import { StateFileError } from './chunk-reader.ts';
import { repairEpolls } from './epoll-repairs.ts';

/** What the thread of `RepairThread` is asked, one at a time. */
export interface RepairTask {
  snapshotDir: string;
}

export type RepairAnswer = { found: number } | { message: string; isDamage: boolean };

const say = (answer: RepairAnswer) => parentPort?.postMessage(answer);

parentPort?.on('message', ({ snapshotDir }: RepairTask) => {
  repairEpolls(snapshotDir).then(
    (found) => say({ found }),
    (error: Error) => say({ message: error.message, isDamage: error instanceof StateFileError }),
  );
});
