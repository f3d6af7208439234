import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';

/** Marks the lines of /etc/hosts that are envd's to change. */
const HOSTS_MARK = '# sandbox';
const LOCALHOST_LINES = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback'];

/** Contents of /etc/hosts in which exactly `names` (name → address) are envd's; all other lines stay. */
export function hostsWith(current: string, names: ReadonlyMap<string, string>): string {
  const lines = current
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trimEnd().endsWith(HOSTS_MARK));
  if (!lines.some((line) => /^[^#]*\slocalhost(\s|$)/.test(line))) lines.unshift(...LOCALHOST_LINES);
  for (const [name, address] of names) lines.push(`${address}\t${name}\t${HOSTS_MARK}`);
  return `${lines.join('\n')}\n`;
}

/** Contents of /etc/resolv.conf for some name servers. */
export function resolvConf(servers: readonly string[]): string {
  return servers.map((server) => `nameserver ${server}\n`).join('');
}

/** Files that tell programs in the sandbox who they are. Synchronous: /init is on the path of every create. */
export interface IdentityFiles {
  read(path: string): string;
  /** Writes where the contents differ, creating directories and replacing a link that leads elsewhere. */
  write(path: string, contents: string): void;
}

/** @param root stands in front of every path. */
export function createIdentityFiles(root: string): IdentityFiles {
  const read = (path: string) => {
    try {
      return readFileSync(root + path, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return '';
      throw error;
    }
  };
  return {
    read,
    write(path, contents) {
      const full = root + path;
      const isLink = lstatSync(full, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
      if (!isLink && contents !== '' && read(path) === contents) return;
      // A link leads into directories of services that do not run here, or out of /etc altogether.
      if (isLink) rmSync(full);
      mkdirSync(posix.dirname(full), { recursive: true });
      writeFileSync(full, contents);
    },
  };
}
