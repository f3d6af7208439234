import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { issueCertificate, makeAuthority } from '@islet/certificates';
import { IsletError } from '@islet/contracts';
import { createUpstreamPool, Front, Turns } from '@islet/proxy';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EdgeListener } from './edge-listener.ts';

const pool = createUpstreamPool(49983);
/** One that closes what is slow soon, and one that leaves a busy machine the time to be slow. */
let hasty: EdgeListener;
let patient: EdgeListener;
/** One whose turns are ended by the test. */
let stepped: EdgeListener;
const nextTurns: (() => void)[] = [];

beforeAll(async () => {
  const front = new Front({
    pool,
    logger: createLogger({ service: 'listener-test', level: 'silent' }),
    resolve: () => {
      throw new IsletError(400, 'here I am');
    },
    fateOf: () => 'running',
  });
  const authority = await makeAuthority('x.test', 'tests', new Date());
  const certificate = await issueCertificate(authority, 'x.test', new Date());
  const listen = async (headTimeoutMs: number, turns = new Turns()) => {
    const limits = { keepAliveMs: 300, headTimeoutMs };
    const connections = { total: 8, perClient: 8 };
    const listener = new EdgeListener({ front, turns, limits, connections, certificate });
    await listener.listen({ host: '127.0.0.1', port: 0 });
    return listener;
  };
  // Whatever is done takes a millisecond.
  let clock = 0;
  const byHand = new Turns({
    turnMs: 1,
    now: () => clock++,
    afterOthers: (begin) => void nextTurns.push(begin),
  });
  [hasty, patient, stepped] = [await listen(1_000), await listen(60_000), await listen(60_000, byHand)];
});
afterAll(async () => {
  await Promise.all([hasty, patient, stepped].map((listener) => listener.close(0)));
  pool.close();
});

const plain = (listener = hasty) => connect(listener.address().port, '127.0.0.1');
const secure = (listener = hasty) =>
  connectTls({ port: listener.address().port, host: '127.0.0.1', rejectUnauthorized: false });

/** Everything a connection got until it was closed. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  // Closing may show as a reset if the client still writes.
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

it.concurrent('closes connections that say nothing', async () => {
  expect(await untilClosed(plain())).toBe('');
});

it.concurrent('closes connections whose handshake does not go on', async () => {
  const socket = plain();
  socket.write(Buffer.from([0x16, 3, 1]));
  await untilClosed(socket);
});

it.concurrent.each([
  ['plain', plain],
  ['TLS', secure],
])('closes %s connections that send their request a byte at a time', async (_, open) => {
  const socket = open();
  await once(socket, open === plain ? 'connect' : 'secureConnect');
  socket.write('GET / HTTP/1.1\r\n');
  const drip = setInterval(() => socket.write('X'), 20);
  try {
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 408 /);
  } finally {
    clearInterval(drip);
  }
});

it.concurrent.each([
  ['plain', plain],
  ['TLS', secure],
])('closes %s connections that are not used any more', async (_, open) => {
  const socket = open(patient);
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 400 [\s\S]*here I am$/);
});

it('takes no more connections than it may', async () => {
  const sockets = Array.from({ length: 12 }, () => plain());
  let refused = 0;
  for (const socket of sockets) {
    socket.on('error', () => {});
    socket.once('close', () => refused++);
  }
  await expect.poll(() => refused).toBeGreaterThanOrEqual(4);
  await Promise.all(sockets.map((socket) => (socket.destroyed ? undefined : untilClosed(socket))));
  const again = plain();
  again.end('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(await untilClosed(again)).toContain('here I am');
});

it('lets who floods wait for a turn, and no one who does not', async () => {
  const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
  const answered: string[] = [];
  const open = async (name: string, text: string) => {
    const socket = plain(stepped);
    socket.on('error', () => {});
    socket.once('data', () => answered.push(name));
    await once(socket, 'connect');
    await new Promise<void>((resolve) => socket.write(text, () => resolve()));
    return socket;
  };
  // Hundreds of requests in one piece: the connection is closed for it, when its turn comes.
  const flood = untilClosed(await open('flood', request.repeat(1_000)));
  const large = request.replace('Host', `X: ${'x'.repeat(4_000)}\r\nHost`);
  const next = await open('next', large);
  const hangsUp = await open('hangs up', large);
  // An ordinary request waits for nobody, and one to another listener neither.
  const elsewhere = plain(patient);
  elsewhere.write(request);
  await untilClosed(elsewhere);
  const small = await open('small', request);
  hangsUp.resetAndDestroy();
  await expect.poll(() => nextTurns.length).toBe(1);
  expect(answered).not.toContain('next');
  const all = Promise.all([flood, untilClosed(next), untilClosed(small)]);
  await expect
    .poll(() => {
      for (const begin of nextTurns.splice(0)) begin();
      return [...answered].sort();
    })
    .toEqual(['flood', 'next', 'small']);
  const [ofFlood, ofNext, ofSmall] = await all;
  expect(ofFlood.split('here I am').length).toBeLessThan(300);
  for (const answer of [ofNext, ofSmall]) expect(answer).toContain('here I am');
});
