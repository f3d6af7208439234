import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { plant } from './attack.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };
const EACH = 5_000;

let hostile: Sandbox;
let listener: Socket;
const heard: string[] = [];
beforeAll(async () => {
  hostile = await Sandbox.create('base', connection);
  listener = createSocket('udp4', (message, { address }) => heard.push(`${address}: ${message}`));
  listener.bind(0, '0.0.0.0');
  await once(listener, 'listening');
  listener.addMembership('224.0.0.1', '127.0.0.1');
});
afterAll(async () => {
  listener?.close();
  await hostile?.kill();
});

it('packets of every kind to the host reach none of its sockets', async () => {
  const { port } = listener.address() as AddressInfo;
  const { stdout } = await hostile.commands.run('ip route show default', { user: 'root' });
  const gateway = /via (\S+)/.exec(stdout)?.[1] ?? '';
  const program = await plant(hostile, 'packets.c');
  const sent = await hostile.commands.run(`${program} ${gateway} ${port} ${EACH}`, { user: 'root' });
  // They left, or the test would say nothing.
  expect(sent.stdout).toContain(`own ${EACH}`);
  expect(sent.stdout).toContain(`neighbour's source ${EACH}`);

  const control = createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    control.send('control', port, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
  });
  control.close();
  await expect.poll(() => heard).toContain('127.0.0.1: control');
  expect(heard).toEqual(['127.0.0.1: control']);
  expect((await hostile.commands.run('echo works')).stdout).toBe('works\n');
});
