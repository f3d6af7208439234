import { isIPv6 } from 'node:net';

const MAPPED_IPV4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;
const LOOPBACK = /^(?:127\.|::1$)/;

/**
 * Whom a connection is counted for: an IPv4 address, or the /64 of an IPv6 one, since whoever has one address of it has
 * all of them. Undefined on this machine: programs of the operator, and a reverse proxy that stands for everybody.
 */
export function clientOf(address: string): string | undefined {
  const plain = MAPPED_IPV4.exec(address)?.[1] ?? address;
  if (LOOPBACK.test(plain)) return undefined;
  return isIPv6(plain) ? `${networkOf(plain)}::/64` : plain;
}

/** The first four groups of an address, written without leading zeros as systems write them. */
function networkOf(address: string): string {
  const [front = '', back] = address.replace(/%.*$/, '').split('::');
  const groups = front === '' ? [] : front.split(':');
  const behind = back === undefined || back === '' ? [] : back.split(':');
  if (back !== undefined) while (groups.length + behind.length < 8) groups.push('0');
  return [...groups, ...behind].slice(0, 4).join(':');
}
