import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Connection } from './connection.ts';
import { recordsOf } from './records.ts';
import { XdrError } from './xdr.ts';

const MAX = 1000;

const fragment = (bytes: Buffer, last = true): Buffer => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(bytes.length + (last ? 2 ** 31 : 0));
  return Buffer.concat([header, bytes]);
};

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function records(bytes: Buffer, size = bytes.length): Promise<string[]> {
  const found: string[] = [];
  for await (const record of recordsOf(inPieces(bytes, size), MAX)) found.push(record.toString());
  return found;
}

it('puts records together however they arrive', async () => {
  const sent = Buffer.concat([
    fragment(Buffer.from('first')),
    fragment(Buffer.from('sec'), false),
    fragment(Buffer.from('ond')),
    fragment(Buffer.from('x'.repeat(MAX))),
  ]);
  for (const size of [1, 3, 7, sent.length]) {
    expect(await records(sent, size)).toEqual(['first', 'second', 'x'.repeat(MAX)]);
  }
  expect(await records(fragment(Buffer.from('never ended'), false))).toEqual([]);
});

it('takes no record that is too large, nor fragments without end', async () => {
  const large = Buffer.from('x'.repeat(MAX + 1));
  await expect(records(fragment(large))).rejects.toThrow(XdrError);
  // At once: nothing of it is collected before.
  await expect(records(fragment(large).subarray(0, 4))).rejects.toThrow(XdrError);
  const half = Buffer.from('x'.repeat(MAX / 2 + 1));
  await expect(records(Buffer.concat([fragment(half, false), fragment(half)]))).rejects.toThrow(XdrError);
  const empty = fragment(Buffer.alloc(0), false);
  await expect(records(empty)).rejects.toThrow(XdrError);
});

it('keeps of an unfinished record no more than its bytes, in however many fragments they come', async () => {
  const most = 260_000;
  const tiny = Buffer.concat(Array(most - 1).fill(fragment(Buffer.from('x'), false)));
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const heap = () => {
    collectGarbage();
    return process.memoryUsage().heapUsed / 1024 ** 2;
  };
  const before = heap();
  let used = Number.POSITIVE_INFINITY;
  async function* held(): AsyncGenerator<Buffer> {
    yield* inPieces(tiny, 1000);
    used = heap() - before;
    yield fragment(Buffer.from('y'));
  }
  for await (const record of recordsOf(held(), most)) expect(record.length).toBe(most);
  // A view of each fragment took 30 MiB.
  expect(used).toBeLessThan(8);
});

let server: Server;
let connection: Connection;
let client: Socket;
let heard: string;
/** What is being worked on, and how to end that. */
let working: Map<string, () => void>;
beforeEach(async () => {
  working = new Map();
  heard = '';
  server = createServer((socket) => {
    connection = new Connection(socket, MAX, (record) => {
      const text = record.toString();
      if (text === 'nonsense') throw new XdrError(text);
      return new Promise((resolve) => working.set(text, () => resolve(Buffer.from(`${text} done`))));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('data', (bytes) => {
    heard += bytes.toString('latin1');
  });
  await once(server, 'connection');
});
afterEach(async () => {
  client.destroy();
  for (const end of working.values()) end();
  await connection.ended;
  server.close();
});

const say = (...texts: string[]) =>
  client.write(Buffer.concat(texts.map((text) => fragment(Buffer.from(text)))));

it('begins nothing while it is held, and has finished what was begun', async () => {
  say('early');
  await expect.poll(() => working.has('early')).toBe(true);
  let isHeld = false;
  const held = connection.hold().then(() => {
    isHeld = true;
  });
  say('late');
  await new Promise(setImmediate);
  expect(isHeld).toBe(false);
  working.get('early')?.();
  await held;
  await expect.poll(() => heard).toContain('early done');
  expect([...working.keys()]).toEqual(['early']);
  connection.release();
  await expect.poll(() => working.has('late')).toBe(true);
});

it('works on some calls at once, not on any number', async () => {
  say(...Array.from({ length: 40 }, (_, i) => `call ${i}`));
  await expect.poll(() => working.size).toBe(4);
  await new Promise(setImmediate);
  expect(working.size).toBe(4);
  working.get('call 3')?.();
  await expect.poll(() => working.has('call 4')).toBe(true);
  expect(working.size).toBe(5);
});

it('ends if nobody can answer', async () => {
  const closed = once(client, 'close');
  say('nonsense');
  await closed;
  await connection.ended;
});
