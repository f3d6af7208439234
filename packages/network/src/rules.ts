import { isIPv4 } from 'node:net';
import { ALWAYS_DENIED } from '@islet/contracts';
import { interfacePrefix, type Slot, type Subnet } from './addresses.ts';

/**
 * Connections with the outside that one sandbox may have open at once, UDP's included while the kernel remembers
 * them.
 */
export const MOST_CONNECTIONS = 4096;

/**
 * New ones that it may begin. The kernel remembers a closed connection for two minutes in the table that all of the
 * host shares (262,144 by default): one sandbox gets to an eighth of it at most.
 */
export const NEW_CONNECTIONS_PER_S = 256;
export const NEW_CONNECTIONS_BURST = 1024;

/** What a sandbox's owner said about outgoing traffic, as IPv4 addresses and CIDRs. */
export interface EgressRules {
  allowInternetAccess?: boolean | undefined;
  allowOut: string[];
  denyOut: string[];
}

export function tableName(instance: string): string {
  return `islet_${instance}`;
}

/**
 * The instance's whole table, replacing what an earlier process left of it, as one atomic script.
 * Traffic from a sandbox is checked in this order: its own address only (no spoofing), never to the host, answers to
 * what came in, how many connections it has, resolvers, the always-denied ranges, then its owner's rules.
 */
export function tableScript(instance: string, subnet: Subnet, resolvers: readonly string[]): string {
  const table = tableName(instance);
  const sandboxes = `"${interfacePrefix(instance)}*"`;
  const dns = resolvers.filter((address) => isIPv4(address));
  const allowDns =
    dns.length > 0
      ? `meta l4proto { tcp, udp } th dport 53 ip daddr { ${dns.join(', ')} } jump owner_rules`
      : '';
  return `
table inet ${table}
delete table inet ${table}
table inet ${table} {
  set bindings { type ifname . ipv4_addr; }
  map owners { type ifname : verdict; }
  set open_connections { type ipv4_addr; flags dynamic; }
  set new_connections { type ipv4_addr; flags dynamic, timeout; timeout 1m; }

  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname ${sandboxes} meta nfproto ipv6 drop
    iifname ${sandboxes} meta nfproto ipv4 iifname . ip saddr != @bindings drop
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname ${sandboxes} ct state established accept
    iifname ${sandboxes} ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
    iifname ${sandboxes} drop
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    iifname ${sandboxes} jump from_sandbox
    oifname ${sandboxes} ct state established,related accept
    oifname ${sandboxes} drop
  }
  chain from_sandbox {
    ct state established,related accept
    update @new_connections { ip saddr limit rate over ${NEW_CONNECTIONS_PER_S}/second burst ${NEW_CONNECTIONS_BURST} packets } jump refuse
    add @open_connections { ip saddr ct count over ${MOST_CONNECTIONS} } jump refuse
    ${allowDns}
    ip daddr { ${ALWAYS_DENIED.join(', ')} } jump refuse
    jump owner_rules
  }
  chain owner_rules {
    iifname vmap @owners
    accept
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${subnet.cidr} oifname != ${sandboxes} masquerade
  }
}
`;
}

export function bindScript(instance: string, slots: readonly Slot[]): string {
  const elements = slots.map((slot) => `"${slot.hostInterface}" . ${slot.sandboxAddress}`).join(', ');
  return `add element inet ${tableName(instance)} bindings { ${elements} }\n`;
}

export function unbindScript(instance: string, slots: readonly Slot[]): string {
  const elements = slots.map((slot) => `"${slot.hostInterface}" . ${slot.sandboxAddress}`).join(', ');
  return `delete element inet ${tableName(instance)} bindings { ${elements} }\n`;
}

export function isUnrestricted(rules: EgressRules): boolean {
  return rules.allowInternetAccess !== false && rules.denyOut.length === 0;
}

/**
 * A slot's chain with its owner's rules. Allow beats deny, the rest is allowed; no internet access means that all is
 * denied but what is allowed. `hadRules` says whether the slot has a chain already.
 */
export function egressScript(instance: string, slot: Slot, rules: EgressRules, hadRules: boolean): string {
  const table = `inet ${tableName(instance)}`;
  const chain = `owner_${slot.index}`;
  const lines: string[] = [];
  if (isUnrestricted(rules)) {
    if (hadRules) {
      lines.push(
        `delete element ${table} owners { "${slot.hostInterface}" }`,
        `flush chain ${table} ${chain}`,
        `delete chain ${table} ${chain}`,
      );
    }
    return lines.map((line) => `${line}\n`).join('');
  }
  const denied = rules.allowInternetAccess === false ? ['0.0.0.0/0'] : rules.denyOut;
  lines.push(`add chain ${table} ${chain}`, `flush chain ${table} ${chain}`);
  for (const cidr of ipv4Only(rules.allowOut))
    lines.push(`add rule ${table} ${chain} ip daddr ${cidr} accept`);
  for (const cidr of ipv4Only(denied)) lines.push(`add rule ${table} ${chain} ip daddr ${cidr} jump refuse`);
  if (!hadRules) lines.push(`add element ${table} owners { "${slot.hostInterface}" : jump ${chain} }`);
  return lines.map((line) => `${line}\n`).join('');
}

/** IPv6 does not leave a sandbox at all, so rules for it have nothing to do. */
function ipv4Only(cidrs: readonly string[]): string[] {
  return [...new Set(cidrs)].filter((cidr) => isIPv4(cidr.split('/')[0] ?? ''));
}
