import { parentPort } from 'node:worker_threads';
import { StateFileError } from './chunk-reader.ts';
import { repairEpolls } from './epoll-repairs.ts';

/** What the thread of `DisarmThread` is asked, one at a time. */
export interface DisarmTask {
  snapshotDir: string;
}

export type DisarmAnswer = { found: number } | { message: string; isDamage: boolean };

const say = (answer: DisarmAnswer) => parentPort?.postMessage(answer);

parentPort?.on('message', ({ snapshotDir }: DisarmTask) => {
  repairEpolls(snapshotDir).then(
    (found) => say({ found }),
    (error: Error) => say({ message: error.message, isDamage: error instanceof StateFileError }),
  );
});
