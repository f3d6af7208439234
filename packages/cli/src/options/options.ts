import { PORTS } from '@islet/contracts';
import {
  parseDatabaseUrl,
  parseDirectory,
  parseDns,
  parseDomain,
  parseFile,
  parseHost,
  parseHttpUrl,
  parseIsolation,
  parseLogLevel,
  parseMebibytes,
  parsePort,
} from './parse.ts';
import type { OptionSpec } from './spec.ts';

const port = (flag: string, env: string, fallback: number, of: string): OptionSpec<number> => ({
  flag,
  env,
  hint: 'port',
  description: `Port of ${of}; 0 takes a free one`,
  fallback: String(fallback),
  parse: parsePort,
});

/** Every option of the command line. A command names those it takes. */
export const OPTIONS = {
  dataDir: {
    flag: 'data-dir',
    env: 'ISLET_DATA_DIR',
    hint: 'dir',
    description: 'Where the database, the snapshots and the secrets are kept',
    fallback: '/var/lib/islet',
    parse: parseDirectory,
  },
  cacheDir: {
    flag: 'cache-dir',
    env: 'ISLET_CACHE_DIR',
    hint: 'dir',
    description: 'Where built root file systems are kept; may be shared by several instances',
    fallback: '/var/cache/islet',
    parse: parseDirectory,
  },
  host: {
    flag: 'host',
    env: 'ISLET_HOST',
    hint: 'address',
    description: 'Address that the API and the proxy listen on',
    fallback: '127.0.0.1',
    parse: parseHost,
  },
  apiPort: port('api-port', 'ISLET_API_PORT', PORTS.api, 'the API'),
  proxyPort: port('proxy-port', 'ISLET_PROXY_PORT', PORTS.clientProxy, 'the way into sandboxes'),
  sandboxProxyPort: port(
    'sandbox-proxy-port',
    'ISLET_SANDBOX_PROXY_PORT',
    PORTS.sandboxProxy,
    "the node's proxy (local)",
  ),
  orchestratorPort: port(
    'orchestrator-port',
    'ISLET_ORCHESTRATOR_PORT',
    PORTS.orchestrator,
    'the orchestrator (local)',
  ),
  templateManagerPort: port(
    'template-manager-port',
    'ISLET_TEMPLATE_MANAGER_PORT',
    PORTS.templateManager,
    'the template manager (local)',
  ),
  domain: {
    flag: 'domain',
    env: 'ISLET_DOMAIN',
    hint: 'domain',
    description: 'Domain of sandbox addresses (default localhost:<proxy port>)',
    parse: parseDomain,
  },
  dns: {
    flag: 'dns',
    env: 'ISLET_DNS',
    hint: 'a,b',
    description: "Resolvers of the sandboxes (default the machine's own, else 8.8.8.8)",
    parse: parseDns,
  },
  debianMirror: {
    flag: 'debian-mirror',
    env: 'ISLET_DEBIAN_MIRROR',
    hint: 'url',
    description: "Where the base template's packages come from (default the machine's own mirror)",
    parse: parseHttpUrl,
  },
  databaseUrl: {
    flag: 'database-url',
    env: 'DATABASE_URL',
    hint: 'url',
    description: 'PostgreSQL to use in place of the embedded database',
    secret: true,
    parse: parseDatabaseUrl,
  },
  tlsCert: {
    flag: 'tls-cert',
    env: 'ISLET_TLS_CERT',
    hint: 'file',
    description: "The proxy's certificate chain, PEM (default a self-signed one)",
    parse: parseFile,
  },
  tlsKey: {
    flag: 'tls-key',
    env: 'ISLET_TLS_KEY',
    hint: 'file',
    description: "The certificate's private key, PEM",
    parse: parseFile,
  },
  isolation: {
    flag: 'isolation',
    env: 'ISLET_ISOLATION',
    hint: 'how',
    description: 'gvisor, microvm (virtual machines) or auto: microvm where KVM runs one, else gvisor',
    fallback: 'auto',
    parse: parseIsolation,
  },
  kernel: {
    flag: 'kernel',
    env: 'ISLET_KERNEL',
    hint: 'file',
    description: "Kernel of virtual machines, an ELF vmlinux (default Debian's cloud kernel)",
    parse: parseFile,
  },
  warmMemory: {
    flag: 'warm-memory',
    env: 'ISLET_WARM_MEMORY',
    hint: 'MiB',
    description: 'Memory for sandboxes kept ready ahead of demand, about 85 MiB each; 0 keeps none',
    fallback: '1024',
    parse: parseMebibytes,
  },
  volumeSize: {
    flag: 'volume-size',
    env: 'ISLET_VOLUME_SIZE',
    hint: 'MiB',
    description: 'Most that a new volume may hold; 0 turns volumes off',
    fallback: '10240',
    parse: parseMebibytes,
  },
  logLevel: {
    flag: 'log-level',
    env: 'ISLET_LOG_LEVEL',
    hint: 'level',
    description: 'debug, info, warn, error or silent; logs go to stderr as JSON lines',
    fallback: 'warn',
    parse: parseLogLevel,
  },
} satisfies Record<string, OptionSpec<unknown>>;

export type OptionName = keyof typeof OPTIONS;
export type OptionValue<K extends OptionName> = ReturnType<(typeof OPTIONS)[K]['parse']>;
