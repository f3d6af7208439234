import { BlockList, isIP, isIPv4 } from 'node:net';

/** Which addresses a build may reach for an image. */
export interface RegistryPolicy {
  allows(address: string): boolean;
}

export interface RegistryPolicyOptions {
  /** Addresses and networks (`10.1.2.3`, `10.0.0.0/8`) that are allowed whatever the rest says. */
  allow: readonly string[];
  /** Whether this machine itself and private networks are allowed: if only the operator's own programs reach the API. */
  ownNetworks: boolean;
}

/** Where clouds tell machines their secrets, and what no registry has: link-local, multicast, translated and reserved addresses. */
const NEVER = [
  ...['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', 'fe80::/10', 'ff00::/8', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'],
  // Of Alibaba Cloud, Azure and AWS; the first and the last in private networks.
  ...['100.100.100.200/32', '168.63.129.16/32', 'fd00:ec2::254/128'],
];

const OWN = [
  ...['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15'],
  ...['::1/128', 'fc00::/7'],
];

/** @throws RangeError if an entry of `allow` is no address and no network. */
export function createRegistryPolicy({ allow, ownNetworks }: RegistryPolicyOptions): RegistryPolicy {
  const allowed = blockList(allow);
  const denied = blockList(ownNetworks ? NEVER : [...NEVER, ...OWN]);
  return {
    allows: (address) => includes(allowed, address) || (isIP(address) !== 0 && !includes(denied, address)),
  };
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    const most = family === 'ipv4' ? 32 : 128;
    const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (isIP(address) === 0 || !(bits <= most)) throw new RangeError('must be addresses or networks');
    list.addSubnet(address, bits, family);
  }
  return list;
}

/** An IPv4 address written as an IPv6 one is found among those of IPv4. */
function includes(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6');
}
