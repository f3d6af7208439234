import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { PORTS } from '@islet/contracts';
import { expect, it } from 'vitest';
import { countConnections } from '../network/quiet.ts';
import { EnvdConnection, waitForEnvd } from './envd-client.ts';

it('leaves nothing of a connection on the host, even where the sandbox never closes its side', async () => {
  const address = '127.45.0.11';
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined); // the reset
    socket.on('data', () => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
  }).listen(PORTS.envd, address);
  await once(server, 'listening');
  const open = async () => countConnections(await readFile('/proc/net/tcp', 'utf8'), address);

  await waitForEnvd({ address, deadlineMs: 60_000 });
  expect(await open()).toBe(0);
  const connection = new EnvdConnection(address);
  await waitForEnvd({ address, deadlineMs: 60_000, connection });
  expect(await open()).toBe(1);
  await connection.end();
  expect(await open()).toBe(0);
  server.close();
});
