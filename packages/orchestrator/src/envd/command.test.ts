import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { PORTS } from '@islet/contracts';
import { expect, it } from 'vitest';
import { runInSandbox } from './command.ts';

/** Serves on envd's port; counts what it could send. */
async function flooding(address: string, start: string, text: string) {
  let sent = 0;
  const block = Buffer.from(text.repeat(Math.ceil(65_536 / text.length)));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    const more = () => {
      let wants = true;
      while (wants && !socket.destroyed) {
        sent += block.length;
        wants = socket.write(block);
      }
    };
    socket.once('data', () => {
      socket.write(start);
      more();
    });
    socket.on('drain', more);
  }).listen(PORTS.envd, address);
  await once(server, 'listening');
  return {
    sent: () => sent,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const ls = { program: 'ls', args: [], user: 'root' };
const MIB = 1024 * 1024;
const STREAM =
  'HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n';

it('takes interim answers without end at its own pace, until nobody waits any more', async () => {
  const address = '127.45.1.1';
  await using server = await flooding(address, '', 'HTTP/1.1 103 Early Hints\r\n\r\n');
  const stop = new AbortController();
  const begin = performance.now();
  const running = runInSandbox(address, ls, stop.signal);
  running.catch(() => undefined);
  await expect.poll(server.sent).toBeGreaterThan(9 * MIB);
  const seconds = (performance.now() - begin) / 1000;
  // What is sent at once, what comes with the time, and what the kernel's buffers hold.
  expect(server.sent()).toBeLessThan((8 + 4 * (seconds + 1) + 8) * MIB);
  stop.abort(new Error('enough'));
  await expect(running).rejects.toThrow();
});

it('takes small events without end at its own pace', async () => {
  const address = '127.45.1.2';
  const data = Buffer.from('x').toString('base64');
  const event = `{"event":{"data":{"stdout":"${data}"}}}`;
  const envelope = `\0\0\0\0${String.fromCharCode(event.length)}${event}`;
  await using _server = await flooding(address, STREAM, `${envelope.length.toString(16)}\r\n${envelope}\r\n`);
  const stop = new AbortController();
  let taken = 0;
  const begin = performance.now();
  const onOutput = () => taken++;
  const running = runInSandbox(address, { ...ls, onOutput }, stop.signal);
  running.catch(() => undefined);
  await expect.poll(() => taken).toBeGreaterThan(2_500);
  expect(taken).toBeLessThan(2_048 + 1_024 * ((performance.now() - begin) / 1000 + 1));
  stop.abort(new Error('enough'));
  await expect(running).rejects.toThrow();
});

it('refuses an event that is too long', async () => {
  const start = `${STREAM}5\r\n\0\x7f\0\0\0\r\n`;
  await using _server = await flooding('127.45.1.3', start, '8\r\nxxxxxxxx\r\n');
  await expect(runInSandbox('127.45.1.3', ls)).rejects.toThrow(/exceed|larger|limit/);
});
