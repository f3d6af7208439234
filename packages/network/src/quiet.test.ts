import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { countConnections, waitForQuiet } from './quiet.ts';

it('counts the connections with an address until they are closed', async () => {
  const address = '127.45.0.9';
  const server = createServer((socket) => socket.resume()).listen(0, address);
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, address);
  await once(client, 'connect');
  // The client's end; the server's end has the client's address as its remote.
  expect(countConnections(await readFile('/proc/net/tcp', 'utf8'), address)).toBe(1);
  await expect(waitForQuiet(address, 50)).rejects.toThrow('1 connections with 127.45.0.9');
  const quiet = waitForQuiet(address, 60_000);
  client.end();
  await quiet;
  server.close();
});
