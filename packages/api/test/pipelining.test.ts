import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
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
