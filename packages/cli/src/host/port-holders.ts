import { readdir, readFile, readlink } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';

/** A process that listens on a port. */
export interface PortHolder {
  pid: number;
  command: string;
}

export interface Endpoint {
  host: string;
  port: number;
}

/** Inodes of the sockets that keep others from listening on a port of an address, from the text of /proc/net/tcp or tcp6. */
export function listeningInodes(table: string, { host, port }: Endpoint): Set<string> {
  const LISTEN = '0A';
  const inodes = new Set<string>();
  for (const line of table.split('\n').slice(1)) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    const [address = '', hexPort = ''] = local?.split(':') ?? [];
    if (state !== LISTEN || !inode || Number.parseInt(hexPort, 16) !== port) continue;
    if (isInTheWay(address, host)) inodes.add(inode);
  }
  return inodes;
}

/** Whether who listens on an address, as the kernel writes it, has a port of a host. One of all addresses has each of them. */
function isInTheWay(address: string, host: string): boolean {
  if (/^0+$/.test(address) || !isIPv4(host) || host === '0.0.0.0') return true;
  const bytes = host.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  // In the order of the machine's bytes; at the end of an address of version 6 that stands for one of version 4.
  return address.toLowerCase().endsWith(bytes.reverse().join(''));
}

/** Who listens on a port of an address, as far as this user may see; undefined if it cannot be told. */
export async function findPortHolder(endpoint: Endpoint, proc = '/proc'): Promise<PortHolder | undefined> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(join(proc, 'net', name), 'utf8').catch(() => '')),
  );
  const inodes = new Set(tables.flatMap((table) => [...listeningInodes(table, endpoint)]));
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir(proc)) {
    if (/^\d+$/.test(pid) && (await holdsSocket(join(proc, pid, 'fd'), inodes))) {
      const command = await readFile(join(proc, pid, 'cmdline'), 'utf8').catch(() => '');
      return { pid: Number(pid), command: command.replaceAll('\0', ' ').trim() || 'unknown' };
    }
  }
  return undefined;
}

/** Processes come and go while /proc is read, and others' are closed to us: those simply do not hold it. */
async function holdsSocket(fdDir: string, inodes: Set<string>): Promise<boolean> {
  const fds = await readdir(fdDir).catch(() => []);
  for (const fd of fds) {
    const target = await readlink(join(fdDir, fd)).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode && inodes.has(inode)) return true;
  }
  return false;
}
