import type { ServerAddress } from '@islet/analytics';
import { LOCAL_DOMAIN } from '@islet/certificates';
import { type HostPattern, isLoopbackHost, type OriginPattern, type RateRule } from '@islet/contracts';
import type { FirecrackerPaths } from '@islet/driver-microvm';
import { OPTIONS, type OptionName } from '../options/options.ts';
import { OptionError, type OptionSources, readOption, requireOption } from '../options/spec.ts';
import { readStore, type StoreSettings } from '../store/settings.ts';
import type { MetricsAddress } from '../telemetry/open.ts';

/** What `islet up` was asked to start. */
export interface UpConfig {
  dataDir: string;
  cacheDir: string;
  host: string;
  apiPort: number;
  proxyPort: number;
  sandboxProxyPort: number;
  orchestratorPort: number;
  templateManagerPort: number;
  domain: string | undefined;
  /** Names that the API answers to in addition. */
  allowHost: HostPattern[];
  /** Pages that may call the API. */
  allowOrigin: OriginPattern[];
  /** Whether the well-known key is to be there; undefined: a first start on a local address makes it. */
  localDevKey: boolean | undefined;
  secureByDefault: boolean;
  dns: string[] | undefined;
  debianMirror: string | undefined;
  /** Addresses and networks that images may come from in addition. */
  registryAllow: string[];
  /** Addresses and networks that webhooks may reach in addition to public ones. */
  webhookAllow: string[];
  /** Where the master keys are; undefined: beside the other secrets. */
  masterKeyFile: string | undefined;
  /** By which address verifiers know the installation; undefined: that of the API. */
  identityIssuer: string | undefined;
  databaseUrl: string | undefined;
  clickhouse: ClickHouseSettings | undefined;
  tls: { certFile: string; keyFile: string } | undefined;
  isolation: 'auto' | 'gvisor' | 'microvm';
  kernel: string | undefined;
  /** Has Firecracker run virtual machines. */
  firecracker: FirecrackerPaths | undefined;
  machineMemoryMb: number | undefined;
  warmMemoryMb: number;
  /** undefined: sandboxes that nobody uses are not frozen. */
  freezeAfterMs: number | undefined;
  /** 0: there are no volumes. */
  volumeSizeMb: number;
  /** Most that is kept of what happened, on disk. */
  historySizeMb: number;
  /** Requests that a team may send, and each key of it. */
  rateLimit: RateRule;
  keyRateLimit: RateRule;
  logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Where figures can be asked for; undefined: nowhere. */
  metrics: MetricsAddress | undefined;
  /** The address at which other machines join; undefined: it is open to none. */
  advertise: string | undefined;
  edgeLinkPort: number;
  /** What all nodes share; undefined: each keeps its own. */
  store: StoreSettings | undefined;
  durablePause: boolean;
  /** Templates that ship with Islet which are built before it serves. */
  with: string[];
  /** Whether others of them are built when somebody first names them. */
  buildOnUse: boolean;
}

/** The name that sandboxes are reached under, without a port. */
export function domainOf({ domain }: Pick<UpConfig, 'domain'>): string {
  return domain?.replace(/:\d+$/, '') ?? LOCAL_DOMAIN;
}

/** Those of commands that call an API, and those of roles that run as processes of their own. */
const OTHERS_OPTIONS: readonly OptionName[] = [
  ...(['apiUrl', 'apiKey'] as const),
  ...(['controlPlane', 'nodes', 'tokenFile', 'secretsDir', 'artifactsDir'] as const),
  ...(['redisUrl', 'redisPrefix', 'consul'] as const),
];

export const UP_OPTIONS = (Object.keys(OPTIONS) as OptionName[]).filter(
  (name) => !OTHERS_OPTIONS.includes(name),
);

/** @throws OptionError naming the option that is wrong. */
export function readUpConfig(sources: OptionSources): UpConfig {
  return {
    ...readProcessSettings(sources),
    ...readApiSettings(sources),
    ...readEdgeSettings(sources),
    ...readNodeSettings(sources),
    ...readStoreSettings(sources),
    advertise: readOption(OPTIONS.advertise, sources),
    edgeLinkPort: requireOption(OPTIONS.edgeLinkPort, sources),
    with: requireOption(OPTIONS.with, sources),
    buildOnUse: requireOption(OPTIONS.buildOnUse, sources),
  };
}

/** Of every process. */
export function readProcessSettings(sources: OptionSources) {
  return {
    dataDir: requireOption(OPTIONS.dataDir, sources),
    logLevel: requireOption(OPTIONS.logLevel, sources),
    metrics: readOption(OPTIONS.metricsPort, sources),
  };
}

/** Of the API. @throws OptionError naming the option that is wrong. */
export function readApiSettings(sources: OptionSources) {
  const host = requireOption(OPTIONS.host, sources);
  const localDevKey = readOption(OPTIONS.localDevKey, sources);
  if (localDevKey && !isLoopbackHost(host)) {
    throw new OptionError(
      `--local-dev-key and --host ${host} exclude each other: everybody knows that key. Leave it out, and use a key of your own (islet keys create)`,
    );
  }
  return {
    host,
    apiPort: requireOption(OPTIONS.apiPort, sources),
    proxyPort: requireOption(OPTIONS.proxyPort, sources),
    domain: readOption(OPTIONS.domain, sources),
    allowHost: requireOption(OPTIONS.allowHost, sources),
    allowOrigin: requireOption(OPTIONS.allowOrigin, sources),
    localDevKey,
    secureByDefault: requireOption(OPTIONS.secureByDefault, sources),
    databaseUrl: readOption(OPTIONS.databaseUrl, sources),
    clickhouse: readClickHouse(sources),
    volumeSizeMb: requireOption(OPTIONS.volumeSize, sources),
    historySizeMb: requireOption(OPTIONS.historySize, sources),
    rateLimit: requireOption(OPTIONS.rateLimit, sources),
    keyRateLimit: requireOption(OPTIONS.keyRateLimit, sources),
    webhookAllow: requireOption(OPTIONS.webhookAllow, sources),
    masterKeyFile: readOption(OPTIONS.masterKeyFile, sources),
    identityIssuer: readOption(OPTIONS.identityIssuer, sources),
  };
}

/** Where the past is kept, and how much of it may wait on disk; undefined: on this machine. */
export interface ClickHouseSettings {
  server: ServerAddress;
  spoolBytes: number;
}

function readClickHouse(sources: OptionSources): ClickHouseSettings | undefined {
  const server = readOption(OPTIONS.clickhouseUrl, sources);
  const spoolMib = requireOption(OPTIONS.clickhouseSpool, sources);
  return server && { server, spoolBytes: spoolMib * 1024 * 1024 };
}

/** Of the edge. @throws OptionError naming the option that is wrong. */
export function readEdgeSettings(sources: OptionSources) {
  const certFile = readOption(OPTIONS.tlsCert, sources);
  const keyFile = readOption(OPTIONS.tlsKey, sources);
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new OptionError('--tls-cert and --tls-key belong together: give both or neither');
  }
  return {
    host: requireOption(OPTIONS.host, sources),
    proxyPort: requireOption(OPTIONS.proxyPort, sources),
    domain: readOption(OPTIONS.domain, sources),
    allowHost: requireOption(OPTIONS.allowHost, sources),
    tls: certFile && keyFile ? { certFile, keyFile } : undefined,
  };
}

/** Of the node. @throws OptionError naming the option that is wrong. */
export function readNodeSettings(sources: OptionSources) {
  return {
    cacheDir: requireOption(OPTIONS.cacheDir, sources),
    sandboxProxyPort: requireOption(OPTIONS.sandboxProxyPort, sources),
    orchestratorPort: requireOption(OPTIONS.orchestratorPort, sources),
    templateManagerPort: requireOption(OPTIONS.templateManagerPort, sources),
    dns: readOption(OPTIONS.dns, sources),
    debianMirror: readOption(OPTIONS.debianMirror, sources),
    registryAllow: requireOption(OPTIONS.registryAllow, sources),
    isolation: requireOption(OPTIONS.isolation, sources),
    kernel: readOption(OPTIONS.kernel, sources),
    firecracker: readFirecracker(sources),
    machineMemoryMb: readOption(OPTIONS.machineMemory, sources),
    warmMemoryMb: requireOption(OPTIONS.warmMemory, sources),
    freezeAfterMs: requireOption(OPTIONS.freezeAfter, sources) * 1000 || undefined,
  };
}

/** Of what nodes share. @throws OptionError naming the option that is wrong. */
export function readStoreSettings(sources: OptionSources) {
  const [store, durablePause] = [readStore(sources), requireOption(OPTIONS.durablePause, sources)];
  if (durablePause && store === undefined) throw new OptionError('--durable-pause needs a --store');
  return { store, durablePause };
}

function readFirecracker(sources: OptionSources): FirecrackerPaths | undefined {
  const firecracker = readOption(OPTIONS.firecracker, sources);
  const jailer = readOption(OPTIONS.jailer, sources);
  if (firecracker !== undefined) return { firecracker, jailer };
  if (jailer !== undefined) throw new OptionError('--jailer belongs to --firecracker: give both or neither');
  return undefined;
}
