import type { Slot } from './addresses.ts';
import { MOST_CONNECTIONS, NEW_CONNECTIONS_BURST, NEW_CONNECTIONS_PER_S } from './rules.ts';

/**
 * A virtual machine's memory holds its addresses, so all machines have the same ones, and each slot's namespace
 * translates between them and the slot's own. Link-local (RFC 3927): no host that a sandbox may reach has such an address.
 */
export const GUEST = {
  address: '169.254.0.21',
  gateway: '169.254.0.22',
  prefixLength: 30,
  mac: '02:69:00:00:00:15',
} as const;

/** At the gateway's address each machine is served its volumes, while it has any. */
export const VOLUMES_PORT = 2049;

/** Fixed, since a restored guest remembers it. */
const TAP_MAC = '02:69:00:00:00:16';

export const TAP = 'tap0';

/** `ip -n <netns> -batch` lines that put the machine's end of a slot in place. */
export function tapBatch(): string {
  return [
    `tuntap add ${TAP} mode tap vnet_hdr`,
    `link set ${TAP} address ${TAP_MAC}`,
    `link set ${TAP} addrgenmode none`,
    `addr add ${GUEST.gateway}/${GUEST.prefixLength} dev ${TAP}`,
    `link set ${TAP} up`,
    `neigh replace ${GUEST.address} lladdr ${GUEST.mac} dev ${TAP} nud permanent`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

/**
 * Rules of a slot's namespace. The guest sends in its own name only, and the slot's is what leaves. The namespace itself
 * answers nobody but its machine, which finds its volumes there; a new one forwards if the host does, which Islet needs
 * anyway. A restored guest goes on with the
 * connections of its snapshot, which nobody else knows: they are reset as soon as it uses one. The namespace remembers connections by itself,
 * in the host's memory and in the one table that the kernel has for all: no more of them than the host lets a sandbox have.
 */
export function translationScript({ sandboxAddress }: Slot): string {
  return `
table ip islet {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "${TAP}" ip saddr ${GUEST.address} ip daddr ${GUEST.gateway} tcp dport ${VOLUMES_PORT} accept
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${TAP}" ip saddr != ${GUEST.address} drop
    iifname "${TAP}" ct state new tcp flags & (syn | rst) == 0 reject with tcp reset
    iifname "${TAP}" ct state new limit rate over ${NEW_CONNECTIONS_PER_S}/second burst ${NEW_CONNECTIONS_BURST} packets jump refuse
    iifname "${TAP}" ct state new ct count over ${MOST_CONNECTIONS} jump refuse
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "eth0" dnat to ${GUEST.address}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "eth0" snat to ${sandboxAddress}
  }
}
`;
}

/** `ip -n <netns> -batch` lines that take it away again. */
export function removeTapBatch(): string {
  return `link del ${TAP}\n`;
}

export function removeTranslationScript(): string {
  return 'delete table ip islet\n';
}
