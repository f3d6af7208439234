import { readFile } from 'node:fs/promises';
import { attempt } from './process/run.ts';

/** How this host reaches archives and registries, for machines that share its network. It stays in memory and in the machines. */
export interface HostNetwork {
  /** Lines of apt's configuration, without their semicolons. */
  aptOptions: string[];
  /** npm's registry of this host. */
  registry: string;
  /** Authorities that npm of this host trusts beside those of Node.js, in PEM. */
  authorities: string | undefined;
}

const APT_OPTION = /^(Acquire::(?:Check-Valid-Until|Check-Date|Retries) "[^"]+");$/;

/** Asks apt and npm of this host. */
export async function hostNetwork(signal: AbortSignal): Promise<HostNetwork> {
  const apt = await attempt(['apt-config', 'dump', '--format', '%f "%v";%n'], { signal });
  const cafile = await npmSetting('cafile', signal);
  return {
    aptOptions: apt.stdout.split('\n').flatMap((line) => APT_OPTION.exec(line)?.[1] ?? []),
    registry: await npmSetting('registry', signal),
    authorities: cafile.startsWith('/') ? await readFile(cafile, 'utf8') : undefined,
  };
}

async function npmSetting(name: string, signal: AbortSignal): Promise<string> {
  return (await attempt(['npm', 'config', 'get', name], { signal, cwd: '/' })).stdout.trim();
}

/** Where a machine has the authorities of its host. */
const AUTHORITIES = '/etc/ssl/certs/of-the-host.pem';

/** Configuration files of a machine in this host's network, by path. */
export function networkFiles(network: HostNetwork, homes: readonly string[]): Record<string, string> {
  // A translated machine is slower than npm thinks that a network may be.
  const patience = ['fetch-timeout=3600000', 'fetch-retries=10', 'maxsockets=4'];
  const npmrc = [
    ...patience,
    `registry=${network.registry}`,
    ...(network.authorities ? [`cafile=${AUTHORITIES}`] : []),
  ];
  return {
    '/etc/apt/apt.conf.d/80-host': network.aptOptions.map((line) => `${line};\n`).join(''),
    ...(network.authorities ? { [AUTHORITIES]: network.authorities } : {}),
    ...Object.fromEntries(homes.map((home) => [`${home}/.npmrc`, `${npmrc.join('\n')}\n`])),
  };
}
