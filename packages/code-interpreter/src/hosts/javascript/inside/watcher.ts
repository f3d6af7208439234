import { Session } from 'node:inspector';
import { Socket } from 'node:net';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { FrameReader } from '../../process/frames.ts';

/** Of a cell; the server lets none through that is longer. */
const MOST_BYTES = 64 * 1024 * 1024;
/** So long the main thread has to end its cell by itself, ms. */
const GRACE_MS = 50;

/**
 * Reads what the server says, on a thread that no cell can keep busy. If the main thread does not answer an interrupt, a
 * script keeps it from that: V8 ends what runs there.
 */
const { answered } = workerData as { answered: Int32Array };
const main = parentPort as MessagePort;
const frames = new FrameReader(MOST_BYTES);

const channel = new Socket({ fd: 3, readable: true, writable: false });
channel.on('data', (chunk) => {
  frames.push(chunk);
  for (let message = frames.next(); message !== undefined; message = frames.next()) hear(message);
});
// The server is gone, and with it the sense of this process.
channel.on('close', () => process.kill(process.pid, 'SIGKILL'));

function hear(message: unknown): void {
  main.postMessage(message);
  if ((message as { type: string }).type !== 'interrupt') return;
  const before = Atomics.load(answered, 0);
  setTimeout(() => {
    if (Atomics.load(answered, 0) === before) endScript();
  }, GRACE_MS);
}

/** Connected for the moment alone: a process does not exit while a debugger is there. */
function endScript(): void {
  const inspector = new Session();
  inspector.connectToMainThread();
  inspector.post('Runtime.terminateExecution', () => inspector.disconnect());
}
