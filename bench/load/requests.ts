import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Goal } from './goal.ts';

export interface LoadResult {
  requestsPerSecond: number;
  /** Of each request, in milliseconds. */
  latencies: number[];
}

/** Keeps `connections` busy with one small GET each for `ms`. A bare client, so that it costs as little as it can. */
export async function measureRequests(goal: Goal, connections: number, ms: number): Promise<LoadResult> {
  const lines = Object.entries(goal.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const request = Buffer.from(
    `GET /hello HTTP/1.1\r\n${lines.join('')}User-Agent: bench\r\nAccept: */*\r\n\r\n`,
  );
  const latencies: number[] = [];
  const startedAt = performance.now();
  const endAt = startedAt + ms;
  await Promise.all(
    Array.from({ length: connections }, () =>
      askUntil(goal, request, endAt, (latency) => latencies.push(latency)),
    ),
  );
  return { requestsPerSecond: (latencies.length * 1000) / (performance.now() - startedAt), latencies };
}

async function askUntil(
  goal: Goal,
  request: Buffer,
  endAt: number,
  record: (latencyMs: number) => void,
): Promise<void> {
  const socket = connect(goal.port, goal.host).setNoDelay(true);
  try {
    await once(socket, 'connect');
    await new Promise<void>((resolve, reject) => {
      let sentAt = 0;
      const send = () => {
        sentAt = performance.now();
        socket.write(request);
      };
      onAnswers(socket, reject, () => {
        const now = performance.now();
        record(now - sentAt);
        if (now < endAt) send();
        else resolve();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the server closed the connection')));
      send();
    });
  } finally {
    socket.removeAllListeners('close');
    socket.destroy();
  }
}

/** Calls `done` at the end of each answer. Answers have to be a 200 with a Content-Length. */
function onAnswers(socket: Socket, reject: (error: Error) => void, done: () => void): void {
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    const head = received.indexOf('\r\n\r\n');
    if (head === -1) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(received.slice(0, head))?.[1];
    if (!received.startsWith('HTTP/1.1 200') || length === undefined) {
      reject(new Error(`unexpected answer: ${received.slice(0, 200)}`));
      return;
    }
    if (received.length < head + 4 + Number(length)) return;
    received = '';
    done();
  });
}
