import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { PORTS } from '@islet/contracts';
import { countConnections } from '@islet/network';
import { describe, expect, it } from 'vitest';
import { EnvdAnswerError } from './answers.ts';
import { EnvdSilentError, initEnvd, readMetrics, readRemovedFiles, waitForEnvd } from './client.ts';
import { EnvdConnection } from './connection.ts';

/** Serves on envd's port what `answer` does with each connection's request. */
async function serve(address: string, answer: (socket: Socket) => void): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined); // the reset
    socket.on('data', () => answer(socket));
  }).listen(PORTS.envd, address);
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

it('leaves nothing of a connection on the host, even if the sandbox never closes its side', async () => {
  const address = '127.45.0.11';
  await using _server = await serve(address, (socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
  const open = async () => countConnections(await readFile('/proc/net/tcp', 'utf8'), address);

  await waitForEnvd({ address, deadlineMs: 60_000 });
  expect(await open()).toBe(0);
  const connection = new EnvdConnection(address);
  await waitForEnvd({ address, deadlineMs: 60_000, connection });
  expect(await open()).toBe(1);
  connection.end();
  expect(await open()).toBe(0);
});

const OK = 'HTTP/1.1 200 OK\r\n';
const metrics = JSON.stringify({
  ...{ cpu_used_pct: 1, mem_total: 1, mem_used: 1, mem_cache: 1, disk_used: 1, disk_total: 1 },
});

const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

/** Writes a text as long as the other side reads. */
const flooding = (text: string) => (socket: Socket) => {
  const block = Buffer.from(text.repeat(Math.ceil(65_536 / text.length)));
  const more = () => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on('drain', more);
  more();
};

/** Writes a byte now and then. */
const dripping = (socket: Socket) => {
  const timer = setInterval(() => socket.write('1'), 20);
  socket.on('close', () => clearInterval(timer));
};

const silent = () => undefined;

describe('an answer that does not end', () => {
  let last = 20;
  const cases: [string, start: string, then: (socket: Socket) => void][] = [
    ['a body', `${OK}Content-Length: 9999999999\r\n\r\n`, flooding('xxxx')],
    ['a body in chunks', CHUNKED, flooding('4\r\nxxxx\r\n')],
    ['the name of a chunk', `${CHUNKED}4;`, flooding('x')],
    ['trailers', `${CHUNKED}0\r\n`, flooding('x: y\r\n')],
    ['headers', OK, flooding('x: y\r\n')],
    ['one header', `${OK}x: `, flooding('y')],
    ['interim answers', '', flooding('HTTP/1.1 103 Early Hints\r\n\r\n')],
    ['a body that drips', `${OK}Content-Length: 60000\r\n\r\n`, dripping],
    ['headers that drip', OK, dripping],
    ['a body without a length', `${OK}\r\n`, flooding('xxxx')],
    ['a body without a length that drips', `${OK}\r\n`, dripping],
    ['a body that does not come', `${OK}Content-Length: 60000\r\n\r\n`, silent],
    ['nothing', '', silent],
  ];
  it.each(cases)('is cut off: %s', async (_, start, then) => {
    const address = `127.45.0.${last++}`;
    await using _server = await serve(address, (socket) => {
      socket.write(start);
      then(socket);
    });
    const before = process.memoryUsage().rss;
    const begin = performance.now();
    const request = { address, deadlineMs: 500 };
    const refused = (error: unknown) => error instanceof EnvdAnswerError || error instanceof EnvdSilentError;
    await expect(readMetrics(request, undefined, undefined)).rejects.toSatisfy(refused);
    await expect(readRemovedFiles(request)).rejects.toSatisfy(refused);
    await expect(waitForEnvd(request)).rejects.toThrow(EnvdSilentError);
    await expect(initEnvd(request, { timestamp: '' })).rejects.toThrow(EnvdSilentError);
    // Half a connection would keep the sandbox from being saved for a minute.
    const open = async () => countConnections(await readFile('/proc/net/tcp', 'utf8'), address);
    await expect.poll(open).toBe(0);
    // Four times its deadline, with room for a busy machine: it would be without end otherwise.
    expect(performance.now() - begin).toBeLessThan(30_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  });
});

it('takes an answer in pieces, and refuses another status', async () => {
  const address = '127.45.0.12';
  let status = 200;
  await using _server = await serve(address, (socket) => {
    socket.write(`HTTP/1.1 ${status} x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (const letter of metrics) socket.write(`1\r\n${letter}\r\n`);
    socket.write('0\r\n\r\n');
  });
  const request = { address, deadlineMs: 60_000 };
  expect(await readMetrics(request, undefined, undefined)).toMatchObject({ cpuUsedPct: 1 });
  status = 401;
  await expect(readMetrics(request, undefined, undefined)).rejects.toThrow(EnvdAnswerError);
});

it('shortens what envd says of a request that it refuses', async () => {
  const address = '127.45.0.13';
  const body = JSON.stringify({ message: 'x'.repeat(10_000) });
  await using _server = await serve(address, (socket) =>
    socket.write(`HTTP/1.1 400 x\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
  );
  const refused = initEnvd({ address, deadlineMs: 60_000 }, { timestamp: '' });
  await expect(refused).rejects.toMatchObject({ status: 400, message: 'x'.repeat(500) });
});
