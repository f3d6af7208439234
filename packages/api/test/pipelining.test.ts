import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as afterOthers } from 'node:timers/promises';
import Fastify from 'fastify';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { usePipelineLimit } from '../src/http/pipelining.ts';
import { type Harness, startHarness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api.close());

/** Answers to so many requests that are sent in one go, up to the end of the connection or all of them. */
async function pipelined(requests: number): Promise<number> {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname).setEncoding('latin1');
  let received = '';
  const count = () => received.split('Health check successful').length - 1;
  socket.on('data', (text: string) => {
    received += text;
    if (count() === requests) socket.end();
  });
  socket.on('error', () => {});
  socket.write(`GET /health HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`.repeat(requests));
  await new Promise((resolve) => socket.once('close', resolve));
  return count();
}

it('answers requests that are sent behind each other', async () => {
  expect(await pipelined(10)).toBe(10);
});

it.each([100, 10_000])('cuts a connection that sends %i requests without waiting', async (requests) => {
  expect(await pipelined(requests)).toBeLessThan(requests);
  expect(await pipelined(10)).toBe(10);
});

it('serves requests that are sent behind each other one at a time', async () => {
  const app = Fastify();
  usePipelineLimit(app);
  let [underWay, most] = [0, 0];
  app.get('/', async () => {
    underWay++;
    most = Math.max(most, underWay);
    for (let i = 0; i < 20; i++) await afterOthers();
    underWay--;
    return 'served';
  });
  const { hostname, port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  try {
    const socket = connect(Number(port), hostname).setEncoding('latin1');
    let received = '';
    socket.on('data', (text: string) => {
      received += text;
    });
    const get = 'GET / HTTP/1.1\r\nHost: x\r\n';
    socket.write(`${`${get}\r\n`.repeat(9)}${get}Connection: close\r\n\r\n`);
    await once(socket, 'close');
    expect(received.split('served').length - 1).toBe(10);
    expect(most).toBe(1);
  } finally {
    await app.close();
  }
});
