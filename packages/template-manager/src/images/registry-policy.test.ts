import { expect, it } from 'vitest';
import { createRegistryPolicy } from './registry-policy.ts';

const METADATA = [
  ...['169.254.169.254', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe', 'fe80::1', 'fd00:ec2::254'],
  ...['100.100.100.200', '168.63.129.16', '0.0.0.0', '::', 'not an address'],
];
const OWN = ['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.1.2.3', '172.31.0.1', '192.168.1.1', 'fd12::1'];
const PUBLIC = ['1.1.1.1', '172.32.0.1', '2606:4700::1'];

it('never reaches metadata services, and own networks if they are told to be reached', () => {
  for (const ownNetworks of [true, false]) {
    const policy = createRegistryPolicy({ allow: [], ownNetworks });
    expect(METADATA.filter((address) => policy.allows(address))).toEqual([]);
    expect(OWN.filter((address) => policy.allows(address))).toEqual(ownNetworks ? OWN : []);
    expect(PUBLIC.filter((address) => policy.allows(address))).toEqual(PUBLIC);
  }
});

it('reaches what is allowed by name', () => {
  const { allows } = createRegistryPolicy({
    allow: ['10.1.0.0/16', '127.0.0.1', 'fd12::/64'],
    ownNetworks: false,
  });
  expect(['10.1.2.3', '127.0.0.1', 'fd12::1'].every(allows)).toBe(true);
  expect(['10.2.0.1', '127.0.0.2', 'fd13::1'].some(allows)).toBe(false);
});

it.each(['registry.example.com', '10.0.0.0/33', '10.0.0.0/x', ''])('refuses %j as a network', (network) => {
  expect(() => createRegistryPolicy({ allow: [network], ownNetworks: false })).toThrow(RangeError);
});
