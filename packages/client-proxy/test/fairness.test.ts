import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { TURN_MS, Turns } from '@islet/proxy';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call } from './http1.ts';

const ADDRESS = '127.0.0.61';
const CONNECTIONS = 64;
const REQUESTS = 20;

/** Of a turn: so eight pieces of work use one up, however fast the machine is. */
const PIECE_MS = TURN_MS / 8;

/** Counts the pieces of work that are done for each team, which all cost the same. */
class CountingTurns extends Turns {
  readonly pieces = new Map<string, number>();

  override charge(tenant: string): void {
    this.pieces.set(tenant, (this.pieces.get(tenant) ?? 0) + 1);
    super.charge(tenant, PIECE_MS);
  }
}

const ANSWERS = {
  'one-byte chunks': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\nz\r\n'.repeat(5_000)],
  'frames of another protocol': [
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    'z'.repeat(30_000),
  ],
} as const;

let turns: CountingTurns;
let edge: Edge;
const open: Socket[] = [];
beforeEach(async () => {
  turns = new CountingTurns();
  edge = await Edge.start({ turns, certificate: undefined });
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await edge[Symbol.asyncDispose]();
});

/** A server that never stops answering; gives its port and how to end it. */
async function flood(first: string, then: string): Promise<{ port: number; stop: () => void }> {
  const server = createTcpServer((socket) => {
    open.push(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(first);
      const more = () => {
        while (!socket.destroyed && socket.write(then));
      };
      socket.on('drain', more);
      more();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve));
  return { port: (server.address() as AddressInfo).port, stop: () => server.close() };
}

/** A client that reads all that comes. */
function read(sandboxId: string, port: number): void {
  const socket = connect(edge.port, '127.0.0.1');
  open.push(socket);
  socket.on('error', () => {});
  socket.resume();
  const upgrade = 'Connection: Upgrade\r\nUpgrade: x\r\n';
  socket.write(`GET / HTTP/1.1\r\nHost: ${port}-${sandboxId}.localhost\r\n${upgrade}\r\n`);
}

describe.each(Object.entries(ANSWERS))('beside %s on many connections of one team', (_, [first, then]) => {
  it('another team is answered after few pieces of that team’s work', async () => {
    const loud = sandboxRoute(ADDRESS, { teamId: 'loud' });
    const quiet = sandboxRoute(ADDRESS, { teamId: 'quiet' });
    await edge.routes.put(loud);
    await edge.routes.put(quiet);
    const flooding = await flood(first, then);
    const served = await edge.serve(ADDRESS, (_request, response) => response.end('ok'));
    for (let i = 0; i < CONNECTIONS; i++) read(loud.sandboxId, flooding.port);
    const done = () => turns.pieces.get('loud') ?? 0;
    await expect.poll(done).toBeGreaterThan(CONNECTIONS * 3);
    const between: number[] = [];
    for (let i = 0; i < REQUESTS; i++) {
      const before = done();
      const answer = await call({ port: edge.port, host: `${served.port}-${quiet.sandboxId}.localhost` });
      expect(answer.status).toBe(200);
      between.push(done() - before);
    }
    // An answer takes some six rounds of the loop. Each would do a piece of work for every connection without turns.
    const mean = between.reduce((sum, count) => sum + count, 0) / REQUESTS;
    expect(mean).toBeLessThan(CONNECTIONS * 3);
    // The flood went on all the while.
    const before = done();
    await expect.poll(done).toBeGreaterThan(before + CONNECTIONS);
    flooding.stop();
  });
});
