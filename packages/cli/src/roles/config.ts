import { OPTIONS, type OptionName } from '../options/options.ts';
import { OptionError, type OptionSources, readOption, requireOption } from '../options/spec.ts';
import { STORE_OPTIONS } from '../store/settings.ts';
import {
  readApiSettings,
  readEdgeSettings,
  readNodeSettings,
  readProcessSettings,
  readStoreSettings,
} from '../up/config.ts';

const PROCESS_OPTIONS = [
  'dataDir',
  'tokenFile',
  'logLevel',
  'metricsPort',
  'consul',
] as const satisfies readonly OptionName[];

export const API_OPTIONS: readonly OptionName[] = [
  ...PROCESS_OPTIONS,
  ...([
    'host',
    'apiPort',
    'proxyPort',
    'edgeLinkPort',
    'advertise',
    'nodes',
    'domain',
    'allowHost',
    'allowOrigin',
  ] as const),
  ...([
    'localDevKey',
    'secureByDefault',
    'databaseUrl',
    'clickhouseUrl',
    'clickhouseSpool',
    'volumeSize',
    'historySize',
    'rateLimit',
    'keyRateLimit',
    'webhookAllow',
    'masterKeyFile',
    'identityIssuer',
    'artifactsDir',
    'secretsDir',
  ] as const),
  ...(['redisUrl', 'redisPrefix', 'with', 'buildOnUse'] as const),
];

export const EDGE_OPTIONS: readonly OptionName[] = [
  ...PROCESS_OPTIONS,
  ...(['host', 'proxyPort', 'controlPlane', 'domain', 'allowHost', 'tlsCert', 'tlsKey'] as const),
];

export const NODE_OPTIONS: readonly OptionName[] = [
  ...PROCESS_OPTIONS,
  ...(['cacheDir', 'sandboxProxyPort', 'orchestratorPort', 'templateManagerPort', 'artifactsDir'] as const),
  ...(['dns', 'debianMirror', 'registryAllow', 'isolation', 'kernel', 'firecracker', 'jailer'] as const),
  ...(['machineMemory', 'warmMemory', 'freezeAfter', 'durablePause', 'with'] as const),
  ...STORE_OPTIONS,
];

/** What the roles are told of each other. */
function readRoleSettings(sources: OptionSources) {
  return {
    ...readProcessSettings(sources),
    /** What they know each other by; undefined: the secret of the data directory. */
    token: { text: sources.env.ISLET_TOKEN, file: readOption(OPTIONS.tokenFile, sources) },
    consul: readConsul(sources),
  };
}

/** @throws OptionError naming the option that is wrong. */
export function readApiConfig(sources: OptionSources) {
  const settings = readApiSettings(sources);
  if (settings.domain === undefined && settings.proxyPort === 0) {
    throw new OptionError("--proxy-port must be the edge's: the API's answers name it (or give a --domain)");
  }
  return {
    ...readRoleSettings(sources),
    ...settings,
    edgeLinkPort: requireOption(OPTIONS.edgeLinkPort, sources),
    ...readWhoIsThere(sources),
    artifactsDir: readOption(OPTIONS.artifactsDir, sources),
    redis: readRedis(sources),
    secretsDir: readOption(OPTIONS.secretsDir, sources),
    with: requireOption(OPTIONS.with, sources),
    buildOnUse: requireOption(OPTIONS.buildOnUse, sources),
  };
}

/** Undefined: there is none. */
function readConsul(sources: OptionSources): { url: string; token: string | undefined } | undefined {
  const url = readOption(OPTIONS.consul, sources);
  return url === undefined ? undefined : { url, token: sources.env.ISLET_CONSUL_TOKEN || undefined };
}

/** Undefined: what is live is kept in memory, for one API. */
function readRedis(sources: OptionSources): { url: string; prefix: string } | undefined {
  const url = readOption(OPTIONS.redisUrl, sources);
  return url === undefined ? undefined : { url, prefix: requireOption(OPTIONS.redisPrefix, sources) };
}

/** Where an API's nodes come from: a file, Consul, or those that join. */
function readWhoIsThere(sources: OptionSources) {
  const advertise = readOption(OPTIONS.advertise, sources);
  const nodesFile = readOption(OPTIONS.nodes, sources);
  const hasConsul = readOption(OPTIONS.consul, sources) !== undefined;
  if (advertise === undefined && !hasConsul) {
    return { advertise, nodesFile: requireOption(OPTIONS.nodes, sources) };
  }
  if (hasConsul && nodesFile !== undefined) {
    throw new OptionError('--consul and --nodes exclude each other: the nodes are those that Consul has');
  }
  if (nodesFile !== undefined) {
    throw new OptionError('--advertise and --nodes exclude each other: the nodes of a cluster join it');
  }
  return { advertise, nodesFile: undefined };
}

/** @throws OptionError naming the option that is wrong. */
export function readEdgeConfig(sources: OptionSources) {
  return {
    ...readRoleSettings(sources),
    ...readEdgeSettings(sources),
    controlPlanes: requireOption(OPTIONS.controlPlane, sources),
  };
}

/** @throws OptionError naming the option that is wrong. */
export function readNodeConfig(sources: OptionSources) {
  return {
    ...readRoleSettings(sources),
    ...readNodeSettings(sources),
    artifactsDir: readOption(OPTIONS.artifactsDir, sources),
    ...readStoreSettings(sources),
    with: requireOption(OPTIONS.with, sources),
  };
}

export type ApiConfig = ReturnType<typeof readApiConfig>;
export type EdgeConfig = ReturnType<typeof readEdgeConfig>;
export type NodeConfig = ReturnType<typeof readNodeConfig>;
export type ConsulConfig = NonNullable<ApiConfig['consul']>;
export type RoleToken = NodeConfig['token'];
