import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
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
  /** Empty if there is no such file. */
  read(path: string): string;
  /** Writes, creating directories if they are missing and replacing a link that leads elsewhere. */
  write(path: string, contents: string): void;
  /** Makes a directory and those above it if they are missing. */
  makeDirectory(path: string): void;
  /** Puts a new file in the old one's place: who reads it gets all of the one or of the other. */
  replace(path: string, contents: string): void;
}

/** @param root stands in front of every path. */
export function createIdentityFiles(root: string): IdentityFiles {
  const files: IdentityFiles = {
    read(path) {
      try {
        return readFileSync(root + path, 'utf8');
      } catch (error) {
        if (isCode(error, 'ENOENT', 'ENOTDIR')) return '';
        throw error;
      }
    },
    write(path, contents) {
      const full = root + path;
      try {
        overwrite(full, contents);
      } catch (error) {
        // A link leads into directories of services that do not run here, or out of /etc altogether.
        if (isCode(error, 'ELOOP')) rmSync(full);
        else if (isCode(error, 'ENOENT')) mkdirSync(posix.dirname(full), { recursive: true });
        else throw error;
        overwrite(full, contents);
      }
    },
    makeDirectory(path) {
      mkdirSync(root + path, { recursive: true });
    },
    replace(path, contents) {
      files.write(`${path}.new`, contents);
      renameSync(`${root}${path}.new`, root + path);
    },
  };
  return files;
}

const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

function overwrite(path: string, contents: string): void {
  const fd = openSync(path, FLAGS, 0o644);
  try {
    writeSync(fd, contents);
  } finally {
    closeSync(fd);
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}
