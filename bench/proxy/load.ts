import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';

export interface Goal {
  host: string;
  port: number;
  /** The Host header. */
  name: string;
}

export interface LoadResult {
  requestsPerSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

/** Keeps `connections` busy with one small GET each for `ms`. A bare client, so that it costs as little as it can. */
export async function measureRequests(goal: Goal, connections: number, ms: number): Promise<LoadResult> {
  const bytes = Buffer.from(
    `GET /hello HTTP/1.1\r\nHost: ${goal.name}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`,
  );
  const latencies: number[] = [];
  const endAt = performance.now() + ms;
  const one = async (): Promise<void> => {
    const socket = connect(goal.port, goal.host).setNoDelay(true);
    await once(socket, 'connect');
    await new Promise<void>((resolve, reject) => {
      let sentAt = 0;
      const send = () => {
        sentAt = performance.now();
        socket.write(bytes);
      };
      socket.on('data', (chunk) => {
        if (chunk.toString('latin1', 9, 12) !== '200')
          reject(new Error(`answered ${chunk.toString('latin1', 0, 80)}`));
        const now = performance.now();
        latencies.push(now - sentAt);
        if (now < endAt) send();
        else resolve();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the connection was closed')));
      send();
    });
    socket.removeAllListeners('close');
    socket.destroy();
  };
  await Promise.all(Array.from({ length: connections }, one));
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor((latencies.length - 1) * share)] ?? 0;
  return { requestsPerSecond: (latencies.length * 1000) / ms, p50: at(0.5), p99: at(0.99) };
}

/** Bytes a second of one large body, downwards. */
export async function measureDownload(goal: Goal, size: number): Promise<number> {
  const startedAt = performance.now();
  const outgoing = request({
    host: goal.host,
    port: goal.port,
    path: `/bytes/${size}`,
    headers: { host: goal.name },
    agent: false,
  });
  outgoing.end();
  const [response] = await once(outgoing, 'response');
  let received = 0;
  response.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  await once(response, 'end');
  if (received !== size) throw new Error(`got ${received} of ${size} bytes`);
  return (size * 1000) / (performance.now() - startedAt);
}

/** Bytes a second of one large body, upwards. */
export async function measureUpload(goal: Goal, size: number): Promise<number> {
  const block = Buffer.alloc(256 * 1024, 'y');
  const startedAt = performance.now();
  const outgoing = request({
    host: goal.host,
    port: goal.port,
    method: 'POST',
    headers: { host: goal.name, 'content-length': size },
    agent: false,
  });
  const answered = once(outgoing, 'response');
  for (let left = size; left > 0; left -= block.length) {
    if (!outgoing.write(left >= block.length ? block : block.subarray(0, left)))
      await once(outgoing, 'drain');
  }
  outgoing.end();
  const [response] = await answered;
  const [text] = await once(response, 'data');
  if (Number(String(text)) !== size) throw new Error(`it got ${text} of ${size} bytes`);
  return (size * 1000) / (performance.now() - startedAt);
}
