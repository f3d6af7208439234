import { netnsPrefix, type Slot } from './addresses.ts';

/**
 * `ip -batch` lines that make the host's side of slots. The host has a slot's address by a route alone, not on the link:
 * a browser on this machine cuts the connections that it has, with ERR_NETWORK_CHANGED, whenever a link gets an address.
 */
export function hostCreateBatch(slots: readonly Slot[]): string {
  return slots
    .flatMap((slot) => [
      `netns add ${slot.netns}`,
      `link add ${slot.hostInterface} type veth peer name eth0 netns ${slot.netns} address ${slot.sandboxMac}`,
      // Without it the kernel gives each end an IPv6 link-local address.
      `link set ${slot.hostInterface} addrgenmode none`,
      `link set ${slot.hostInterface} up`,
      `route add local ${slot.hostAddress} dev ${slot.hostInterface} table local`,
      `route add ${slot.sandboxAddress} dev ${slot.hostInterface} src ${slot.hostAddress}`,
      `neigh replace ${slot.sandboxAddress} lladdr ${slot.sandboxMac} dev ${slot.hostInterface} nud permanent`,
    ])
    .map((line) => `${line}\n`)
    .join('');
}

/** `ip -n <netns> -batch` lines for the inside of a slot. */
export function guestCreateBatch(slot: Slot): string {
  return [
    'link set lo up',
    'link set eth0 addrgenmode none',
    `addr add ${slot.sandboxAddress}/30 dev eth0`,
    'link set eth0 up',
    `route add default via ${slot.hostAddress}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

/** `ip -force -batch` lines that remove slots, as far as they are there. */
export function destroyBatch(slots: readonly Slot[]): string {
  return slots
    .flatMap((slot) => [`link del ${slot.hostInterface}`, `netns del ${slot.netns}`])
    .map((line) => `${line}\n`)
    .join('');
}

/** Indices of an instance's slots among the names in /run/netns. */
export function slotIndices(instance: string, names: readonly string[]): number[] {
  const prefix = netnsPrefix(instance);
  return names
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .filter((index) => Number.isInteger(index));
}
