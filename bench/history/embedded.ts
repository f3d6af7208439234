import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { HistoryThread } from '@islet/sinks';
import { createLogger } from '@islet/telemetry';
import { type Amount, type History, lineAt, sampleAt } from './history.ts';

/** Room for all of it: what is measured is not how it gives away. */
const BYTES = 16 * 1024 ** 3;
/** Larger than an api gets them from a node: filling is not measured. */
const AT_ONCE = 5_000;
const PROGRAM = resolve(import.meta.dirname, '../../dist/islet/history.mjs');

/** Files of this machine, on a thread of their own, as in `islet up`. */
export async function openEmbeddedHistory(): Promise<History> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-bench-history-'));
  const logger = createLogger({ service: 'bench', level: 'silent' });
  const thread = new HistoryThread({ dir, bytes: BYTES, program: PROGRAM, logLevel: 'silent', logger });
  const { samples, logs } = thread.stores;
  return {
    ...{ name: 'embedded', stores: { samples, logs } },
    async fill(amount: Amount) {
      const batches = async <T>(
        count: number,
        make: (index: number, amount: Amount) => T,
        write: (batch: T[]) => Promise<void>,
      ) => {
        for (let from = 0; from < count; from += AT_ONCE) {
          const length = Math.min(AT_ONCE, count - from);
          await write(Array.from({ length }, (_, index) => make(from + index, amount)));
        }
      };
      await batches(amount.samples, sampleAt, (batch) => samples.write(batch));
      await batches(amount.lines, lineAt, (batch) => logs.write(batch));
    },
    async [Symbol.asyncDispose]() {
      await thread[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
