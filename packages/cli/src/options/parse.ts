import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseServerAddress, type ServerAddress } from '@islet/analytics';
import {
  type HostPattern,
  type OriginPattern,
  parseAuthority,
  parseHostPattern,
  parseOriginPattern,
} from '@islet/contracts';

/** A TCP port; 0 lets the system choose a free one. */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new RangeError('must be a port, 0 to 65535');
  return port;
}

/** A port, or an address and a port: 9464, 10.0.0.1:9464, [::1]:9464. Without an address, this machine's own alone. */
export function parseListenAddress(text: string): { host: string; port: number } {
  const [, host = '127.0.0.1', port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) === 0 || !(port !== '' && Number(port) <= 65_535)) {
    throw new RangeError('must be a port, 0 to 65535, or an address and a port, such as 10.0.0.1:9464');
  }
  return { host: bare, port: Number(port) };
}

/** A size in MiB, up to a tebibyte. */
export function parseMebibytes(text: string): number {
  const size = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (!(size <= 1_048_576)) throw new RangeError('must be a number of MiB, 0 to 1048576');
  return size;
}

/** Less would not hold an hour of one busy sandbox. */
export function parseHistorySize(text: string): number {
  const size = parseMebibytes(text);
  if (size < 64) throw new RangeError('must be a number of MiB, 64 to 1048576');
  return size;
}

/** Up to a year. */
export function parseSeconds(text: string): number {
  const seconds = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= 31_536_000)) throw new RangeError('must be a number of seconds, 0 to 31536000');
  return seconds;
}

export function parseDirectory(text: string): string {
  if (text.trim() === '' || text.includes('\0')) throw new RangeError('must be a directory');
  return resolve(text);
}

/** Which there are is known only to the build of Islet that runs. */
export function parseTemplateNames(text: string): string[] {
  const names = partsOf(text);
  if (!names.every((name) => /^[a-z0-9][a-z0-9-]{0,62}$/.test(name))) {
    throw new RangeError('must be names of templates such as code-interpreter, separated by commas');
  }
  return names;
}

/** A directory that is the same on every machine: its path must not depend on where a command is run. */
/** Where nodes share what they save. */
export type StoreAddress =
  | { kind: 'directory'; path: string }
  /** The prefix has no slash at its ends, and may be empty. */
  | { kind: 's3'; bucket: string; prefix: string };

/** Names of buckets as Amazon has them, and prefixes that are keys of every kind of server. */
const BUCKET =
  /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/((?:[A-Za-z0-9][A-Za-z0-9._-]{0,63}\/?){0,8}))?$/;

export function parseStore(text: string): StoreAddress {
  const [, bucket, prefix = ''] = BUCKET.exec(text) ?? [];
  if (bucket !== undefined) return { kind: 's3', bucket, prefix: prefix.replace(/\/$/, '') };
  if (!text.startsWith('/') || text.includes('\0')) {
    throw new RangeError('must be the absolute path of a directory, or s3://<bucket>/<prefix>');
  }
  return { kind: 'directory', path: resolve(text) };
}

/** A region as servers name theirs. */
export function parseRegion(text: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/i.test(text))
    throw new RangeError('must be the name of a region, such as eu-central-1');
  return text;
}

export function parseFile(text: string): string {
  if (text.trim() === '' || text.includes('\0')) throw new RangeError('must be a file');
  return resolve(text);
}

/**
 * An address to listen on, IPv6 in its shortest form. Names other than localhost are refused: what they stand for may
 * change.
 */
export function parseHost(text: string): string {
  if (text === 'localhost') return '127.0.0.1';
  if (isIP(text) === 0) throw new RangeError('must be an IP address, such as 127.0.0.1 or 0.0.0.0');
  return isIP(text) === 6 ? (parseAuthority(`[${text}]`)?.host ?? text) : text;
}

/** One address of a machine, which others can be told. */
export function parseAddress(text: string): string {
  if (isIP(text) === 0 || /^(?:0\.0\.0\.0|[0:]*)$/.test(text)) {
    throw new RangeError('must be one IP address of this machine, such as 10.0.0.5');
  }
  return text;
}

/** Yes or no; a flag without a value is `on`. */
export function parseSwitch(text: string): boolean {
  if (['on', 'true', 'yes', '1'].includes(text)) return true;
  if (['off', 'false', 'no', '0'].includes(text)) return false;
  throw new RangeError('must be on or off');
}

export function parseAllowedHosts(text: string): HostPattern[] {
  return partsOf(text).map(parseHostPattern);
}

export function parseAllowedOrigins(text: string): OriginPattern[] {
  return partsOf(text).map(parseOriginPattern);
}

function partsOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Resolvers of the sandboxes, comma-separated. */
export function parseDns(text: string): string[] {
  const servers = text.split(',').map((part) => part.trim());
  if (servers.some((server) => isIP(server) !== 4)) {
    throw new RangeError('must be IPv4 addresses separated by commas');
  }
  return servers;
}

/** Addresses and networks such as 10.0.0.0/8, comma-separated. */
export function parseNetworks(text: string): string[] {
  const networks = partsOf(text);
  if (!networks.every(isNetwork)) {
    throw new RangeError('must be addresses or networks such as 10.0.0.0/8, separated by commas');
  }
  return networks;
}

function isNetwork(text: string): boolean {
  const [address = '', prefix = '0', ...rest] = text.split('/');
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= most;
}

const DOMAIN =
  /^(?=.{1,253}(?::|$))[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?$/;

/** A DNS name, with a port if it is not the scheme's own. */
export function parseDomain(text: string): string {
  const domain = text.toLowerCase();
  if (!DOMAIN.test(domain)) throw new RangeError('must be a domain, such as sandboxes.example.com');
  return domain;
}

export function parseHttpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new RangeError('must be an http:// or https:// address');
  }
  return text;
}

/** An https address, as identity tokens name it: without a slash at its end. */
export function parseIssuer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isBare = url?.search === '' && url.hash === '' && url.username === '' && url.password === '';
  if (url?.protocol !== 'https:' || !isBare) {
    throw new RangeError('must be an https:// address without a query');
  }
  return url.href.replace(/\/+$/, '');
}

/** At least one, comma-separated. */
export function parseHttpUrls(text: string): string[] {
  const urls = partsOf(text).map(parseHttpUrl);
  if (urls.length === 0) throw new RangeError('must be http:// or https:// addresses');
  return urls;
}

/** A postgres:// address. The message must not repeat it: it may hold a password. */
export function parseDatabaseUrl(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : undefined;
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') {
    throw new RangeError('must be a postgres:// address');
  }
  return text;
}

const REDIS_PROTOCOLS = ['redis:', 'rediss:', 'unix:'];

/** A server, without the number of a database: channels are of all databases, so prefixes keep installations apart. */
export function parseRedisUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !REDIS_PROTOCOLS.includes(url.protocol)) {
    throw new RangeError('must be a redis://, rediss:// or unix:// address');
  }
  const { hostname, pathname } = url;
  const isUnix = url.protocol === 'unix:';
  if (isUnix ? hostname !== '' || pathname.length < 2 : hostname === '') {
    throw new RangeError('must name a server: redis://host:6379, or unix:///path/of/the/socket');
  }
  if (!isUnix && pathname !== '' && pathname !== '/') {
    throw new RangeError('must name no database: --redis-prefix keeps several Islets apart');
  }
  return text;
}

/** Without the characters that mean something in patterns of keys. */
export function parseRedisPrefix(text: string): string {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(text)) {
    throw new RangeError('must be 1 to 64 letters, digits, dots, dashes and underscores');
  }
  return text;
}

/** The message must not repeat it. */
export function parseClickHouseUrl(text: string): ServerAddress {
  return parseServerAddress(text);
}

const ISOLATIONS = ['auto', 'gvisor', 'microvm'] as const;

export function parseIsolation(text: string): (typeof ISOLATIONS)[number] {
  const isolation = ISOLATIONS.find((name) => name === text);
  if (!isolation) throw new RangeError(`must be one of ${ISOLATIONS.join(', ')}`);
  return isolation;
}

/** The message must not repeat it. */
export function parseApiKey(text: string): string {
  if (!/^e2b_[0-9a-f]+$/.test(text)) throw new RangeError('must be a key: e2b_ and hexadecimal digits');
  return text;
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((name) => name === text);
  if (!level) throw new RangeError(`must be one of ${LOG_LEVELS.join(', ')}`);
  return level;
}
