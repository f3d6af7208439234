import { BlockList, isIP, isIPv4 } from 'node:net';

/**
 * What no public service has, and where clouds tell machines their secrets: link-local, multicast, translated, documentation's and
 * reserved addresses.
 */
export const SPECIAL_NETWORKS: readonly string[] = [
  ...['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', 'fe80::/10', 'ff00::/8', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'],
  // Of Alibaba Cloud, Azure and AWS; the first and the last in private networks.
  ...['100.100.100.200/32', '168.63.129.16/32', 'fd00:ec2::254/128'],
];

/** This machine and private networks. */
export const OWN_NETWORKS: readonly string[] = [
  ...['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15'],
  ...['::1/128', 'fc00::/7'],
];

/**
 * Never reachable from a sandbox, whatever its owner allows: the host, other sandboxes, private networks, metadata
 * services. It is what IANA's registry of special IPv4 addresses does not call globally reachable, multicast, and a
 * cloud's service at a public address.
 */
export const ALWAYS_DENIED = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private; sandboxes themselves are in it
  '100.64.0.0/10', // behind carriers' NAT; some clouds have their metadata here
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // the host of a virtual machine on Azure
  '169.254.0.0/16', // link-local; most clouds' metadata
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments; Oracle's metadata
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // relays from IPv4 to IPv6, given up
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks; private networks of some
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and the broadcast address
];

const IPV4_PREFIX = /^(?:[0-9]|[12][0-9]|3[0-2])$/;

/** Whether a text is an IPv4 address or network, and nothing beside it: it may be written where a program reads one. */
export function isIPv4Network(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  return isIPv4(address) && rest.length === 0 && (prefix === undefined || IPV4_PREFIX.test(prefix));
}

/** A set of addresses. */
export interface Networks {
  /** False for what is no address. An IPv4 address that is written as an IPv6 one is found among those of IPv4. */
  include(address: string): boolean;
}

/** @param networks addresses and networks: `10.1.2.3`, `10.0.0.0/8` @throws RangeError if one is neither */
export function parseNetworkList(networks: readonly string[]): Networks {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    const most = family === 'ipv4' ? 32 : 128;
    const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (isIP(address) === 0 || !(bits <= most)) throw new RangeError('must be addresses or networks');
    list.addSubnet(address, bits, family);
  }
  return {
    include(address) {
      const version = isIP(address);
      return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6');
    },
  };
}
