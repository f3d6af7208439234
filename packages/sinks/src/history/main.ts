import { parentPort, workerData } from 'node:worker_threads';
import { createLogger } from '@islet/telemetry';
import { History } from './history.ts';
import type { HistoryAnswer, HistoryCall, HistoryThreadData } from './thread.ts';

// Runs in a thread of its own: what it reads, packs and sorts keeps no one else waiting.
const { dir, bytes, logLevel } = workerData as HistoryThreadData;
const logger = createLogger({ service: 'islet', level: logLevel }).child({ component: 'history' });
const history = new History({ dir, bytes, now: Date.now, logger });

parentPort?.on('message', (message: HistoryCall | 'close') => {
  if (message === 'close') {
    history[Symbol.dispose]();
    parentPort?.close();
  } else void answer(message);
});

async function answer({ id, store, method, args }: HistoryCall): Promise<void> {
  try {
    // The names are the other side's of this same program.
    const call = Reflect.get(history.stores[store], method) as (...args: unknown[]) => Promise<unknown>;
    say({ id, value: await call(...args) });
  } catch (error) {
    say({ id, error });
  }
}

function say(answer: HistoryAnswer): void {
  parentPort?.postMessage(answer);
}
