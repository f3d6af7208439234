import { access } from 'node:fs/promises';
import { LockHeldError } from '@islet/host';
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

export function portWishes(config: UpConfig): PortWish[] {
  const { host } = config;
  return [
    { flag: 'api-port', purpose: 'the API', host, port: config.apiPort },
    { flag: 'proxy-port', purpose: 'the client proxy', host, port: config.proxyPort },
    {
      flag: 'sandbox-proxy-port',
      purpose: 'the sandbox proxy',
      host: LOCAL_HOST,
      port: config.sandboxProxyPort,
    },
    {
      flag: 'orchestrator-port',
      purpose: 'the orchestrator',
      host: LOCAL_HOST,
      port: config.orchestratorPort,
    },
    {
      flag: 'template-manager-port',
      purpose: 'the template manager',
      host: LOCAL_HOST,
      port: config.templateManagerPort,
    },
  ];
}

export interface Claim extends AsyncDisposable {
  instance: Instance;
}

/**
 * Checks the ports, then claims the data directory. Nothing else was touched when it refuses.
 * @throws StartRefused naming every port that is taken, or the process that holds the data directory.
 */
export async function claimHost(config: UpConfig): Promise<Claim> {
  if (process.getuid?.() !== 0) {
    throw new StartRefused(
      'sandboxes need root (namespaces, networks, cgroups): start it with ./islet up, or sudo',
    );
  }
  const problems = await findPortProblems(portWishes(config));
  if (problems.length > 0) {
    // The usual reason is that this very Islet runs already: then one sentence says more than five ports.
    if (await exists(config.dataDir)) await (await claimDataDir(config.dataDir))[Symbol.asyncDispose]();
    throw new StartRefused(problems.map(describePortProblem).join('\n'));
  }
  return claimDataDir(config.dataDir);
}

async function claimDataDir(dataDir: string): Promise<Claim> {
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

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
