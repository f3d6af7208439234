import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Channel } from './channel.ts';
import { type FromGateway, fromGatewayMessage } from './messages.ts';

let raw: Socket;
let other: Socket;
let close: () => void;
beforeEach(async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  raw = connect((server.address() as { port: number }).port, '127.0.0.1');
  [other] = await once(server, 'connection');
  close = () => server.close();
});
afterEach(() => {
  raw.destroy();
  other.destroy();
  close();
});

function open(mostBytes = 1000) {
  const messages: FromGateway[] = [];
  const ends: (Error | undefined)[] = [];
  new Channel<FromGateway, never>(other, {
    ...{ shape: fromGatewayMessage, mostBytes },
    onMessage: (message) => messages.push(message),
    onEnd: (error) => ends.push(error),
  });
  return { messages, ends };
}

it('takes messages in any pieces', async () => {
  const { ends, messages } = open();
  for (const byte of '{"type":"done","id":1}\n{"type":"done","id":2}\n') raw.write(byte);
  await expect
    .poll(() => messages)
    .toEqual([
      { type: 'done', id: 1 },
      { type: 'done', id: 2 },
    ]);
  raw.end();
  await expect.poll(() => ends).toEqual([undefined]);
});

it.each([
  ['no JSON', 'hello\n'],
  ['no known message', '{"type":"open-the-gates"}\n'],
  ['a verdict of another shape', '{"type":"verdicts","batch":[{"teamId":7}]}\n'],
  ['no end', '{'.repeat(2000)],
])('ends at what has %s', async (_what, text) => {
  const { ends, messages } = open();
  raw.on('error', () => undefined).write(text);
  await expect.poll(() => ends).toEqual([expect.any(Error)]);
  expect(messages).toEqual([]);
});
