import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';

const FALLBACK = ['8.8.8.8', '1.1.1.1'];

/**
 * The resolvers a sandbox can use of those in a resolv.conf. Loopback ones (systemd-resolved, dnsmasq) answer on the host only,
 * and IPv6 is not offered to sandboxes.
 */
export function sandboxResolvers(resolvConf: string): string[] {
  const servers = resolvConf
    .split('\n')
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((server) => isIPv4(server) && !server.startsWith('127.') && server !== '0.0.0.0');
  return servers.length > 0 ? servers : FALLBACK;
}

/** systemd-resolved keeps the real ones in a file of its own, and names itself in /etc/resolv.conf. */
const RESOLV_CONFS = ['/run/systemd/resolve/resolv.conf', '/etc/resolv.conf'];

/** What sandboxes of this machine can use. */
export async function readResolvers(): Promise<string[]> {
  for (const path of RESOLV_CONFS) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return sandboxResolvers(text);
  }
  return sandboxResolvers('');
}
