import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ClientConnections } from './client-connections.ts';

/** A socket that says whose it is; nothing is sent on it. */
function from(remoteAddress: string): Socket {
  return Object.defineProperty(new Socket(), 'remoteAddress', { value: remoteAddress });
}

const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

function admitAll(connections: ClientConnections, count: number, address: string): Socket[] {
  return Array.from({ length: count }, () => {
    const socket = from(address);
    expect(connections.admit(socket)).toBe(true);
    return socket;
  });
}

describe('a client at its limit', () => {
  it('loses the connection that it has not used for longest', () => {
    const connections = new ClientConnections({ total: 100, perClient: 3 });
    const [first, second, third] = admitAll(connections, 3, '192.0.2.1');
    if (first) connections.use(first)();
    admitAll(connections, 1, '192.0.2.1');
    expect([first, second, third].map((socket) => socket?.destroyed)).toEqual([false, true, false]);
  });

  it('gets no more if it uses all, until one is unused or closed', async () => {
    const connections = new ClientConnections({ total: 100, perClient: 2 });
    const [first, second] = admitAll(connections, 2, '192.0.2.1');
    if (!first || !second) throw new Error('two sockets');
    const done = connections.use(first);
    connections.use(first);
    connections.use(second);
    done();
    expect(connections.admit(from('192.0.2.1'))).toBe(false);
    admitAll(connections, 2, '192.0.2.2');
    second.destroy();
    await closed(second);
    expect(connections.admit(from('192.0.2.1'))).toBe(true);
    expect(first.destroyed).toBe(false);
  });

  it('counts a decrypted side for its connection', () => {
    const connections = new ClientConnections({ total: 100, perClient: 1 });
    const [encrypted] = admitAll(connections, 1, '192.0.2.1');
    if (!encrypted) throw new Error('a socket');
    const decrypted = from('192.0.2.1');
    connections.alias(decrypted, encrypted);
    const done = connections.use(decrypted);
    expect(connections.admit(from('192.0.2.1'))).toBe(false);
    done();
    expect(connections.admit(from('192.0.2.1'))).toBe(true);
    expect(encrypted.destroyed).toBe(true);
  });
});

describe('when all connections are taken', () => {
  it('whoever has most loses one that is unused, and others none', () => {
    const connections = new ClientConnections({ total: 6, perClient: 100 });
    const modest = admitAll(connections, 2, '192.0.2.1');
    const greedy = admitAll(connections, 4, '192.0.2.2');
    admitAll(connections, 1, '192.0.2.3');
    expect(modest.filter((socket) => socket.destroyed)).toEqual([]);
    expect(greedy.map((socket) => socket.destroyed)).toEqual([true, false, false, false]);
  });

  it('programs of this machine are one client, without a limit of their own', () => {
    const connections = new ClientConnections({ total: 4, perClient: 1 });
    const local = admitAll(connections, 4, '127.0.0.1');
    admitAll(connections, 1, '192.0.2.1');
    expect(local.filter((socket) => socket.destroyed)).toHaveLength(1);
  });

  it('no one loses a connection in use', () => {
    const connections = new ClientConnections({ total: 3, perClient: 3 });
    const used = admitAll(connections, 3, '192.0.2.1');
    for (const socket of used) connections.use(socket);
    expect(connections.admit(from('192.0.2.2'))).toBe(false);
    expect(used.filter((socket) => socket.destroyed)).toEqual([]);
  });

  it('takes no connection that is closed already', () => {
    expect(new ClientConnections({ total: 3, perClient: 3 }).admit(new Socket())).toBe(false);
  });
});
