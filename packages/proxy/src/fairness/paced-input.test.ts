import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setImmediate as afterOthers } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { PacedInput } from './paced-input.ts';
import { type Share, Turns, type TurnsOptions } from './turns.ts';

const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
/** A piece as the kernel hands it over, with as many calls of the parser as there can be. */
const CHUNKS = '1\r\nz\r\n'.repeat(10_000);

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

interface Served {
  client: Socket;
  inputs: PacedInput[];
  /** Of the pieces that the parser got, bytes. */
  pieces: number[];
}

/** A connection to a server that paces its input. */
async function serve(
  turns: Turns,
  onRequest: (request: IncomingMessage) => void,
  known: () => Share | undefined = () => undefined,
): Promise<Served> {
  const [inputs, pieces]: [PacedInput[], number[]] = [[], []];
  server = createServer((request, response) => {
    onRequest(request);
    request.on('end', () => response.end('done'));
  });
  server.on('connection', (socket: Socket) => {
    inputs.push(new PacedInput(socket, { known, stranger: turns.of('stranger') }));
    socket.on('data', (piece: Buffer) => pieces.push(piece.length));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1');
  await once(client, 'connect');
  return { client, inputs, pieces };
}

/** What is done takes so long, and turns end when the test says so. */
function stepped(ms: number): { options: TurnsOptions; step: () => void } {
  let clock = 0;
  const nextTurns: (() => void)[] = [];
  return {
    options: {
      now: () => {
        clock += ms;
        return clock;
      },
      afterOthers: (begin) => void nextTurns.push(begin),
    },
    step: () => {
      for (const begin of nextTurns.splice(0)) begin();
    },
  };
}

/** Until everything that was sent has come. */
async function settled(count: () => number): Promise<number> {
  for (let before = -1; before !== count(); ) {
    before = count();
    for (let i = 0; i < 20; i++) await afterOthers();
  }
  return count();
}

it('gives the parser small pieces of what costs much, one in each turn', async () => {
  const { options, step } = stepped(1);
  let received = 0;
  const { client, pieces } = await serve(new Turns({ turnMs: 1, ...options }), (request) => {
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
  });
  client.write(HEAD + CHUNKS);
  await expect.poll(() => pieces.length).toBeGreaterThan(0);
  expect(await settled(() => pieces.length)).toBe(1);
  for (let turn = 2; turn < 10; turn++) {
    step();
    expect(await settled(() => pieces.length)).toBe(turn);
  }
  expect(Math.max(...pieces)).toBeLessThanOrEqual(1024);
  expect(pieces.at(-1)).toBe(512);
  client.end('0\r\n\r\n');
  await expect
    .poll(() => {
      step();
      return received;
    })
    .toBe(10_000);
});

it('gives it nothing of a team that is over its turn, and one piece of a stranger', async () => {
  const { options, step } = stepped(1);
  const turns = new Turns({ turnMs: 1, ...options });
  const team = turns.of('team');
  team.charge(1);
  let known: Share | undefined = team;
  const { client, pieces } = await serve(
    turns,
    () => {},
    () => known,
  );
  client.write(HEAD);
  expect(await settled(() => pieces.length)).toBe(0);
  step();
  await expect.poll(() => pieces.length).toBe(1);
  known = undefined;
  turns.of('stranger').charge(1);
  client.write('1\r\nz\r\n');
  await expect.poll(() => pieces.length).toBe(2);
});

it('reads each of many connections of a team that was over its turn', async () => {
  const { options, step } = stepped(1);
  const turns = new Turns({ turnMs: 1, ...options });
  const team = turns.of('team');
  let received = 0;
  const onRequest = () => received++;
  const { client } = await serve(turns, onRequest, () => team);
  const clients = [client];
  for (let i = 1; i < 8; i++) {
    const other = connect((server.address() as AddressInfo).port, '127.0.0.1');
    clients.push(other);
    await once(other, 'connect');
  }
  team.charge(1);
  for (const each of clients) each.write(HEAD);
  await settled(() => received);
  await expect
    .poll(() => {
      step();
      return received;
    })
    .toBe(clients.length);
});

it('gives it large pieces of what costs little', async () => {
  let received = 0;
  const { client, pieces } = await serve(new Turns({ now: () => 0 }), (request) => {
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
  });
  const bytes = 8 * 1024 * 1024;
  client.end(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n${'y'.repeat(bytes)}`);
  const [answer] = await once(client, 'data');
  expect(answer).toContain('done');
  expect(received).toBe(bytes);
  expect(Math.max(...pieces)).toBeGreaterThan(16 * 1024);
});

it('reads no further than a paused reader takes', async () => {
  let request: IncomingMessage | undefined;
  const { client, pieces } = await serve(new Turns(), (incoming) => {
    request = incoming;
  });
  const bytes = 32 * 1024 * 1024;
  client.end(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n${'y'.repeat(bytes)}`);
  await expect.poll(() => request).toBeDefined();
  const sum = () => pieces.reduce((total, piece) => total + piece, 0);
  expect(await settled(sum)).toBeLessThan(1024 * 1024);
  request?.resume();
  const [answer] = await once(client, 'data');
  expect(answer).toContain('done');
  expect(sum()).toBeGreaterThan(bytes);
});

it('tells of the end of a connection', async () => {
  const { client } = await serve(new Turns(), () => {});
  client.end();
  client.resume();
  await once(client, 'close');
});

it('lets a connection that changes its protocol flow', async () => {
  const { client, inputs } = await serve(new Turns(), () => {});
  let received = '';
  server.on('upgrade', (_, socket: Socket, head: Buffer) => {
    inputs[0]?.detach();
    received = head.toString();
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
    });
    socket.on('end', () => socket.end('switched'));
    socket.resume();
  });
  client.end(`GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n${'f'.repeat(200_000)}`);
  const [answer] = await once(client, 'data');
  expect(answer).toContain('switched');
  expect(received).toBe('f'.repeat(200_000));
});
