import { Agent, get, type IncomingMessage } from 'node:http';
import type { Goal } from './goal.ts';

/** Bytes a second of bodies of one size, one after the other on each of some kept connections. */
export async function measureBodies(
  goal: Goal,
  size: number,
  connections: number,
  ms: number,
): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  let received = 0;
  const startedAt = performance.now();
  try {
    await Promise.all(
      Array.from({ length: connections }, async () => {
        while (performance.now() < startedAt + ms) received += await download(goal, size, agent);
      }),
    );
  } finally {
    agent.destroy();
  }
  return (received * 1000) / (performance.now() - startedAt);
}

function download(goal: Goal, size: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ ...goal, path: `/bytes/${size}`, agent }, (response: IncomingMessage) => {
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
      });
      response.on('error', reject);
      response.on('end', () =>
        bytes === size ? resolve(bytes) : reject(new Error(`got ${bytes} of ${size} bytes`)),
      );
    }).on('error', reject);
  });
}
