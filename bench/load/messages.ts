import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Goal } from './goal.ts';

/** Of a message, bytes: its length stands in one byte of the frame. */
const MESSAGE_BYTES = 100;
/** A frame of WebSocket as a client sends it: masked, by nothing. */
const FRAME = Buffer.concat([
  Buffer.from([0x82, 0x80 | MESSAGE_BYTES, 0, 0, 0, 0]),
  Buffer.alloc(MESSAGE_BYTES, 'm'),
]);

/** Messages a second that come back from a server which sends all bytes back: each connection has one on its way. */
export async function measureMessages(goal: Goal, connections: number, ms: number): Promise<number> {
  let echoed = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = await openWebSocket(goal);
      try {
        await echoUntil(socket, startedAt + ms, () => echoed++);
      } finally {
        socket.removeAllListeners('close');
        socket.destroy();
      }
    }),
  );
  return (echoed * 1000) / (performance.now() - startedAt);
}

async function openWebSocket({ host, port, headers }: Goal): Promise<Socket> {
  const socket = connect(port, host).setNoDelay(true);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(
    `GET /echo HTTP/1.1\r\n${lines.join('')}Connection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  let head = '';
  while (!head.includes('\r\n\r\n')) head += String((await once(socket, 'data'))[0]);
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(`unexpected answer: ${head.slice(0, 200)}`);
  return socket;
}

function echoUntil(socket: Socket, endAt: number, done: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = FRAME.length;
    socket.on('data', (piece) => {
      missing -= piece.length;
      if (missing > 0) return;
      done();
      missing = FRAME.length;
      if (performance.now() < endAt) socket.write(FRAME);
      else resolve();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the connection')));
    socket.write(FRAME);
  });
}
