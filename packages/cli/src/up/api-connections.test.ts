import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Turns } from '@islet/proxy';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { shareApi } from './api-connections.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const MOST = 4;

let server: Server;
let answered = 0;
const nextTurns: (() => void)[] = [];
beforeEach(async () => {
  answered = 0;
  server = createServer((_request, response) => {
    answered++;
    response.end('ok');
  });
  // Whatever is done takes a millisecond, and turns end when the test says so.
  let clock = 0;
  const turns = new Turns({
    turnMs: 1,
    now: () => clock++,
    afterOthers: (begin) => void nextTurns.push(begin),
  });
  shareApi(server, { total: MOST, perClient: MOST }, turns);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function open(): Promise<Socket> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

it('closes the longest unused connection if there is no room for one more', async () => {
  const first = await open();
  const gone = once(first, 'close');
  const others: Socket[] = [];
  for (let i = 0; i < MOST; i++) others.push(await open());
  await gone;
  for (const socket of others) {
    socket.write(REQUEST);
    expect((await once(socket, 'data'))[0]).toContain('ok');
  }
});

it('answers an ordinary request before a flood of them is read', async () => {
  const flood = await open();
  flood.resume().write(REQUEST.repeat(1_000));
  await expect.poll(() => answered).toBeGreaterThan(0);
  const ofFlood = answered;
  const other = await open();
  other.write(REQUEST);
  expect((await once(other, 'data'))[0]).toContain('ok');
  expect(answered).toBe(ofFlood + 1);
  await expect
    .poll(() => {
      for (const begin of nextTurns.splice(0)) begin();
      return answered;
    })
    .toBe(1_001);
});
