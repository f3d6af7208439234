import { isIPv4 } from 'node:net';
import { ALWAYS_DENIED, isIPv4Network } from '@islet/contracts';
import { interfacePrefix, overlaps, type Slot, type Subnet } from './addresses.ts';
import { markOf } from './steering.ts';

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

/**
 * Destinations that are remembered for those who ask what sandboxes reached: an address, a protocol and a port each, for as long
 * as somebody begins something new with it and a minute more. What comes when the list is full is not counted.
 */
export const MOST_FLOWS = 8192;

/** What a slot's firewall is told of outgoing traffic. Names are not its business: what it cannot read it passes over. */
export interface EgressRules {
  allowInternetAccess?: boolean | undefined;
  /** IPv4 addresses and CIDRs. */
  allowOut: readonly string[];
  denyOut: readonly string[];
  /** Resolvers that may be asked, whatever is denied. */
  resolvers?: readonly string[];
  /** TCP goes to the gateway, which decides it, and nowhere else. */
  gated?: boolean;
}

export function tableName(instance: string): string {
  return `islet_${instance}`;
}

/**
 * The instance's whole table, replacing what an earlier process left of it, as one atomic script.
 * Traffic from a sandbox is checked in this order: its own address only (no spoofing), never to the host, TCP of a gated one by
 * no other way than the gateway, answers to what came in, how many connections it has, resolvers, the always-denied ranges,
 * then its owner's rules. Of a gated sandbox every packet is checked, so that rules that change end what they forbid.
 */
export function tableScript(instance: string, subnet: Subnet, resolvers: readonly string[]): string {
  const table = tableName(instance);
  const sandboxes = `"${interfacePrefix(instance)}*"`;
  const dns = resolvers.filter((address) => isIPv4(address));
  const allowDns =
    dns.length > 0
      ? `meta l4proto { tcp, udp } th dport 53 ip daddr { ${dns.join(', ')} } jump owner_rules`
      : '';
  // The gateway dials no address in a private network, a resolver's neither.
  const own = dns.filter((address) => ALWAYS_DENIED.some((range) => overlaps(range, address)));
  const elements =
    own.length > 0 ? `elements = { ${own.map((address) => `${address} . 53`).join(', ')} }` : '';
  return `
table inet ${table}
delete table inet ${table}
table inet ${table} {
  set bindings { type ifname . ipv4_addr; }
  set gated { type ifname; }
  set own_resolvers { type ipv4_addr . inet_service; ${elements} }
  map owners { type ifname : verdict; }
  set open_connections { type ipv4_addr; flags dynamic; }
  set new_connections { type ipv4_addr; flags dynamic, timeout; timeout 1m; }
${['allowed', 'denied'].map((name) => `  set ${name} { ${FLOWS} }`).join('\n')}

  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname ${sandboxes} meta nfproto ipv6 drop
    iifname ${sandboxes} meta nfproto ipv4 iifname . ip saddr != @bindings drop
  }
  chain steer {
    type filter hook prerouting priority mangle; policy accept;
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname ${sandboxes} ct state established accept
    iifname ${sandboxes} ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
    iifname ${sandboxes} meta mark ${markOf(subnet)} meta l4proto tcp jump to_gateway
    iifname ${sandboxes} drop
  }
  chain to_gateway {
    jump limits
    accept
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    iifname ${sandboxes} jump from_sandbox
    oifname ${sandboxes} ct state established,related accept
    oifname ${sandboxes} drop
  }
  chain from_sandbox {
    iifname @gated meta l4proto tcp ip daddr . tcp dport != @own_resolvers jump refuse
    iifname @gated ct state established,related goto judged_again
    ct state established,related accept
    jump limits
    ${allowDns}
    ip daddr { ${ALWAYS_DENIED.join(', ')} } jump refuse
    jump owner_rules
  }
  chain judged_again {
    meta l4proto { tcp, udp } ip daddr . th dport @own_resolvers goto owner_rules
    ip daddr { ${ALWAYS_DENIED.join(', ')} } drop
    goto owner_rules
  }
  chain limits {
    update @new_connections { ip saddr limit rate over ${NEW_CONNECTIONS_PER_S}/second burst ${NEW_CONNECTIONS_BURST} packets } jump refuse
    add @open_connections { ip saddr ct count over ${MOST_CONNECTIONS} } jump refuse
  }
  chain owner_rules {
    iifname vmap @owners
    jump permit
  }
  chain permit {
    ct state new meta l4proto { tcp, udp } update @allowed { ip saddr . ip daddr . meta l4proto . th dport }
    accept
  }
  chain refuse {
    meta l4proto { tcp, udp } update @denied { ip saddr . ip daddr . meta l4proto . th dport }
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

/** Who began something with what, counted. */
const FLOWS = `type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags dynamic, timeout; size ${MOST_FLOWS}; counter; timeout 1m;`;

/**
 * Has gated TCP come to the gateway's port on the loopback address. What is for the host itself stays with the host, which
 * answers no sandbox. What the gateway has begun goes on when a sandbox is not gated any more.
 */
export function steerScript(instance: string, subnet: Subnet, port: number): string {
  const chain = `inet ${tableName(instance)} steer`;
  const mark = markOf(subnet);
  return [
    `flush chain ${chain}`,
    `add rule ${chain} iifname "${interfacePrefix(instance)}*" meta l4proto tcp socket transparent 1 meta mark set ${mark} accept`,
    `add rule ${chain} iifname != @gated accept`,
    `add rule ${chain} ip daddr . tcp dport @own_resolvers accept`,
    `add rule ${chain} ip daddr { ${ALWAYS_DENIED.join(', ')} } accept`,
    `add rule ${chain} fib daddr type local accept`,
    `add rule ${chain} meta nfproto ipv4 meta l4proto tcp meta mark set ${mark} tproxy ip to 127.0.0.1:${port} accept`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

export function bindScript(instance: string, slots: readonly Slot[]): string {
  const elements = slots.map((slot) => `"${slot.hostInterface}" . ${slot.sandboxAddress}`).join(', ');
  return `add element inet ${tableName(instance)} bindings { ${elements} }\n`;
}

export function unbindScript(instance: string, slots: readonly Slot[]): string {
  const elements = slots.map((slot) => `"${slot.hostInterface}" . ${slot.sandboxAddress}`).join(', ');
  return `delete element inet ${tableName(instance)} bindings { ${elements} }\n`;
}

/** What of a slot's rules is in the table. */
export interface RulesInPlace {
  /** A chain of its own. */
  chain: boolean;
  gated: boolean;
}

/** What of them comes to be in the table. */
export function placeOf(rules: EgressRules): RulesInPlace {
  const restricts = rules.allowInternetAccess === false || rules.denyOut.length > 0;
  return { chain: restricts, gated: rules.gated === true };
}

/**
 * A slot's chain with its owner's rules. Allow beats deny, the rest is allowed; no internet access means that all is
 * denied but what is allowed. Empty if nothing changes.
 */
export function egressScript(instance: string, slot: Slot, rules: EgressRules, before: RulesInPlace): string {
  const table = `inet ${tableName(instance)}`;
  const chain = `owner_${slot.index}`;
  const after = placeOf(rules);
  const lines: string[] = [];
  if (after.gated !== before.gated) {
    lines.push(`${after.gated ? 'add' : 'delete'} element ${table} gated { "${slot.hostInterface}" }`);
  }
  if (after.chain) {
    const denied = rules.allowInternetAccess === false ? ['0.0.0.0/0'] : rules.denyOut;
    lines.push(`add chain ${table} ${chain}`, `flush chain ${table} ${chain}`);
    for (const resolver of ipv4Only(rules.resolvers ?? []))
      lines.push(
        `add rule ${table} ${chain} meta l4proto { tcp, udp } th dport 53 ip daddr ${resolver} jump permit`,
      );
    for (const cidr of ipv4Only(rules.allowOut))
      lines.push(`add rule ${table} ${chain} ip daddr ${cidr} jump permit`);
    for (const cidr of ipv4Only(denied))
      lines.push(`add rule ${table} ${chain} ip daddr ${cidr} jump refuse`);
    if (!before.chain) lines.push(`add element ${table} owners { "${slot.hostInterface}" : jump ${chain} }`);
  } else if (before.chain) {
    lines.push(
      `delete element ${table} owners { "${slot.hostInterface}" }`,
      `flush chain ${table} ${chain}`,
      `delete chain ${table} ${chain}`,
    );
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** IPv6 does not leave a sandbox at all, so rules for it have nothing to do; names are the gateway's. */
function ipv4Only(entries: readonly string[]): string[] {
  return [...new Set(entries)].filter(isIPv4Network);
}
