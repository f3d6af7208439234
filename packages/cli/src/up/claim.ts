import { exists, LockHeldError } from '@islet/host';
import { type Instance, openInstance } from '../host/instance.ts';
import { lockInstance } from '../host/instance-lock.ts';
import { describePortProblem, findPortProblems, type PortWish } from '../host/ports.ts';
import type { UpConfig } from './config.ts';

/** A start that cannot be, with all that is in its way. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused';
}

/** Only this machine may reach what has no authentication of its own. */
export const LOCAL_HOST = '127.0.0.1';

type Ports = Pick<UpConfig, 'host' | 'apiPort' | 'proxyPort'> &
  Pick<UpConfig, 'sandboxProxyPort' | 'orchestratorPort' | 'templateManagerPort'>;

export function portWishes(config: Ports): PortWish[] {
  return [...apiPorts(config), ...edgePorts(config), ...nodePorts(config)];
}

export function apiPorts({ host, apiPort }: Pick<Ports, 'host' | 'apiPort'>): PortWish[] {
  return [{ flag: 'api-port', purpose: 'the API', host, port: apiPort }];
}

export function edgePorts({ host, proxyPort }: Pick<Ports, 'host' | 'proxyPort'>): PortWish[] {
  return [{ flag: 'proxy-port', purpose: 'the client proxy', host, port: proxyPort }];
}

/** @param host the address that the node's ports listen on */
export function nodePorts(
  config: Omit<Ports, 'host' | 'apiPort' | 'proxyPort'>,
  host = LOCAL_HOST,
): PortWish[] {
  const local = (flag: string, purpose: string, port: number) => ({ flag, purpose, host, port });
  return [
    local('sandbox-proxy-port', 'the sandbox proxy', config.sandboxProxyPort),
    local('orchestrator-port', 'the orchestrator', config.orchestratorPort),
    local('template-manager-port', 'the template manager', config.templateManagerPort),
  ];
}

export interface Claim extends AsyncDisposable {
  instance: Instance;
}

/**
 * Checks the ports, then claims the data directory. Nothing else was touched when it refuses.
 * @throws StartRefused naming every port that is taken, or the process that holds the data directory.
 */
export async function claimHost(dataDir: string, ports: readonly PortWish[]): Promise<Claim> {
  if (process.getuid?.() !== 0) {
    throw new StartRefused(
      'sandboxes need root (namespaces, networks, cgroups): start it with ./islet up, or sudo',
    );
  }
  const problems = await findPortProblems(ports);
  if (problems.length > 0) {
    // The usual reason is that this very Islet runs already: then one sentence says more than five ports.
    if (await exists(dataDir)) await (await claimDataDir(dataDir))[Symbol.asyncDispose]();
    throw new StartRefused(problems.map(describePortProblem).join('\n'));
  }
  return claimDataDir(dataDir);
}

/** @throws StartRefused naming the process that holds it */
export async function claimDataDir(dataDir: string): Promise<Claim> {
  const instance = await openInstance(dataDir);
  try {
    const lock = await lockInstance(instance);
    return { instance, [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]() };
  } catch (cause) {
    if (!(cause instanceof LockHeldError)) throw cause;
    const holder = cause.note || 'another process';
    throw new StartRefused(
      `an Islet with data directory ${instance.dataDir} already runs (${holder}). Stop it, or start a second one with another --data-dir and other ports`,
    );
  }
}
