import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { createLogger, openThreadMeters } from '@islet/telemetry';
import { answerPromptly } from '../../host/promptness.ts';
import type { ThreadMessage, ThreadRequest, ThreadSettings } from './messages.ts';
import { Proxies } from './proxies.ts';

/** The program of `ProxyThread`'s thread. */
const { logLevel, isMeasured, tellsLog } = workerData as ThreadSettings;

answerPromptly();

const STDERR = 2;

/** Past the thread that answers everybody. A line that nobody reads is dropped: traffic does not wait for it. */
function writeLine(line: string): void {
  try {
    writeSync(STDERR, line);
  } catch (error) {
    if (!['EAGAIN', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Lines that are told in a second: a flood of errors must not pile up in the other thread. */
const LINES_TOLD = 100;

function tellLine(): (line: string) => void {
  let [second, told] = [0, 0];
  return (line) => {
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) [second, told] = [now, 0];
    if (++told <= LINES_TOLD) say({ kind: 'log', line });
  };
}

const say = (message: ThreadMessage) => parentPort?.postMessage(message);
// Before anything is made that has figures.
const meters = isMeasured ? await openThreadMeters() : undefined;
const proxies = new Proxies({
  say,
  figures: async () => meters?.collect(),
  logger: createLogger({
    ...{ service: 'islet', level: logLevel, destination: { write: writeLine } },
    copy: tellsLog ? tellLine() : undefined,
  }),
});
parentPort?.on('message', (request: ThreadRequest) => proxies.take(request));
