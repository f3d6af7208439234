import { expect, it } from 'vitest';
import { clientOf } from './client-address.ts';

it.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['127.0.0.1', undefined],
  ['127.3.2.1', undefined],
  ['::1', undefined],
  ['::ffff:127.0.0.1', undefined],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::5', '0:0:0:0::/64'],
])('counts %s for %s', (address, client) => {
  expect(clientOf(address)).toBe(client);
});
