import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** A process that listens on a port. */
export interface PortHolder {
  pid: number;
  command: string;
}

/** Inodes of the sockets that listen on `port`, from the text of /proc/net/tcp or tcp6. */
export function listeningInodes(table: string, port: number): Set<string> {
  const LISTEN = '0A';
  const inodes = new Set<string>();
  for (const line of table.split('\n').slice(1)) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    const hexPort = local?.split(':')[1];
    if (state === LISTEN && inode && hexPort && Number.parseInt(hexPort, 16) === port) inodes.add(inode);
  }
  return inodes;
}

/** Who listens on a port, as far as this user may see; undefined if it cannot be told. */
export async function findPortHolder(port: number, proc = '/proc'): Promise<PortHolder | undefined> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(join(proc, 'net', name), 'utf8').catch(() => '')),
  );
  const inodes = new Set(tables.flatMap((table) => [...listeningInodes(table, port)]));
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
