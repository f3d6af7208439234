import type { NetworkInterfaceInfo } from 'node:os';

/** The IPv4 address of `eth0`, else of the first interface that is no loopback. */
export function outsideAddress(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string | undefined {
  const candidates = [interfaces.eth0 ?? [], ...Object.values(interfaces)].flat();
  return candidates.find((info) => info && !info.internal && info.family === 'IPv4')?.address;
}
