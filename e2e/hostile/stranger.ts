// A client that misbehaves, as a process of its own: what it spends is not its tester's time. Its one argument is a
// `StrangerOrder` in JSON; it goes on until it is killed, and says `begun` when its first connections are under way.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { StrangerOrder } from './stranger-order.ts';

const order = JSON.parse(process.argv[2] ?? '') as StrangerOrder;
const { host, port, path = '/', headers = {}, connections } = order;

const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
const head = (method: string, more = '') =>
  `${method} ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${lines.join('')}${more}\r\n`;
const BEGIN: Record<StrangerOrder['kind'], (socket: Socket) => void> = {
  // One request after the other; what comes is read and thrown away.
  ask: (socket) => {
    const request = head('GET');
    socket.write(request);
    socket.on('data', () => socket.writableLength === 0 && socket.write(request));
  },
  pipeline: (socket) => writeOn(socket, head('GET').repeat(100)),
  stall: (socket) => {
    socket.write(head('GET'));
    socket.pause();
  },
  // A head that never ends.
  hold: (socket) => void socket.write(head('GET').slice(0, -2)),
  trickle: (socket) => {
    socket.write(head('POST', 'Transfer-Encoding: chunked\r\n'));
    writeOn(socket, '1\r\nz\r\n'.repeat(2_000));
  },
  frames: (socket) => {
    socket.write(head('GET', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'));
    const frame = Buffer.from([0x82, 0x81, 1, 2, 3, 4, 5]);
    socket.once('data', () => writeOn(socket, Buffer.concat(Array(2_000).fill(frame))));
  },
  handshake: (socket) => {
    const secure = connectTls({ socket, rejectUnauthorized: false }, () => secure.destroy());
    secure.on('error', () => {});
  },
};

function writeOn(socket: Socket, data: string | Buffer): void {
  const write = () => {
    while (!socket.destroyed && socket.write(data));
  };
  socket.resume();
  socket.on('drain', write);
  write();
}

function once(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.on('connect', () => BEGIN[order.kind](socket));
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    if (order.kind !== 'stall') socket.resume();
  });
}

async function again(): Promise<never> {
  for (;;) {
    await once();
    // Who is refused tries again, but leaves the tester some of the machine.
    await sleep(order.kind === 'handshake' ? 0 : 20);
  }
}

for (let count = 0; count < connections; count++) {
  void again();
  if (count % 200 === 199) await sleep(5);
}
process.stdout.write('begun\n');
