import type { Subnet } from './addresses.ts';

/** Marks and routing tables of all Islets of a host, one of each for a block of addresses. */
const FIRST = 0x69_00_00_00;

/** Before the tables that hosts have by themselves, behind the local one. */
const PRIORITY = 105;

/** What packets bear that are on their way to the gateway: no other Islet's have it, and no other sender's lead there. */
export function markOf({ block }: Subnet): string {
  return `0x${(FIRST + block).toString(16)}`;
}

function ruleOf(subnet: Subnet): string {
  return `from ${subnet.cidr} fwmark ${markOf(subnet)} lookup ${FIRST + subnet.block}`;
}

/** `ip -batch` lines that have marked packets of an instance's sandboxes delivered on this host, whomever they are for. */
export function steeringBatch(subnet: Subnet): string {
  return `route add local default dev lo table ${FIRST + subnet.block}\nrule add ${ruleOf(subnet)} priority ${PRIORITY}\n`;
}

/** `ip -force -batch` lines that take it away again, as far as it is there. */
export function unsteeringBatch(subnet: Subnet): string {
  return `rule del ${ruleOf(subnet)}\nroute del local default dev lo table ${FIRST + subnet.block}\n`;
}
