import { expect, it } from 'vitest';
import { outsideAddress } from './address.ts';
import { parseListeners, portsToForward } from './listeners.ts';

const header = '  sl  local_address rem_address   st tx_queue rx_queue\n';
const line = (address: string, port: number, state = '0A') =>
  `   0: ${address}:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 ${state} 00000000:00000000\n`;

it('reads listening sockets and where they can be reached from', () => {
  const text =
    header +
    line('0100007F', 8000) +
    line('0500007F', 8001) +
    line('00000000', 8002) +
    line('0A00A8C0', 8003) +
    line('0100007F', 8004, '01') +
    line('00000000000000000000000001000000', 8005) +
    line('0000000000000000FFFF00000100007F', 8006) +
    line('00000000000000000000000000000000', 8007);
  expect(parseListeners(text)).toEqual([
    { port: 8000, scope: 'loopback4' },
    { port: 8001, scope: 'loopback4' },
    { port: 8002, scope: 'other' },
    { port: 8003, scope: 'other' },
    { port: 8005, scope: 'loopback6' },
    { port: 8006, scope: 'loopback4' },
    { port: 8007, scope: 'other' },
  ]);
});

it('forwards what is on loopback only, IPv4 first, and keeps what it forwards', () => {
  const ports = portsToForward(
    [
      { port: 1, scope: 'loopback6' },
      { port: 1, scope: 'loopback4' },
      { port: 2, scope: 'loopback6' },
      { port: 3, scope: 'loopback4' },
      { port: 3, scope: 'other' },
      { port: 4, scope: 'loopback4' },
      { port: 4, scope: 'other' },
    ],
    new Set([4]),
  );
  expect([...ports]).toEqual([
    [1, '127.0.0.1'],
    [2, '::1'],
    [4, '127.0.0.1'],
  ]);
});

it('takes the address of eth0, or of the first interface that leads outside', () => {
  const info = (address: string, internal = false, family: 'IPv4' | 'IPv6' = 'IPv4') =>
    ({
      address,
      internal,
      family,
      netmask: '',
      mac: '',
      cidr: null,
      ...(family === 'IPv6' && { scopeid: 0 }),
    }) as never;
  expect(outsideAddress({ lo: [info('127.0.0.1', true)] })).toBeUndefined();
  expect(
    outsideAddress({
      lo: [info('127.0.0.1', true)],
      ens3: [info('fe80::1', false, 'IPv6'), info('10.0.0.2')],
    }),
  ).toBe('10.0.0.2');
  expect(outsideAddress({ a: [info('10.0.0.1')], eth0: [info('10.0.0.2')] })).toBe('10.0.0.2');
});
