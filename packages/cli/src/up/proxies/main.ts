import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { createLogger } from '@islet/telemetry';
import { answerPromptly } from '../../host/promptness.ts';
import type { ThreadMessage, ThreadRequest, ThreadSettings } from './messages.ts';
import { Proxies } from './proxies.ts';

/** The program of `ProxyThread`'s thread. */
const { logLevel } = workerData as ThreadSettings;

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

const say = (message: ThreadMessage) => parentPort?.postMessage(message);
const proxies = new Proxies({
  say,
  logger: createLogger({ service: 'islet', level: logLevel, destination: { write: writeLine } }),
});
parentPort?.on('message', (request: ThreadRequest) => proxies.take(request));
