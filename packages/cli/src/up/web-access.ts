import type { WebAccess } from '@islet/api';
import { type HostPattern, isLoopbackHost, parseAuthority } from '@islet/contracts';
import type { UpConfig } from './config.ts';

/**
 * What browsers may do with the API: what the operator named. A domain for sandboxes implies its own names, and an API that
 * others reach answers to the machine's name too. No page is implied: pages below the domain belong to sandboxes.
 */
export function webAccessOf(
  {
    host,
    domain,
    allowHost,
    allowOrigin,
    identityIssuer,
  }: Pick<UpConfig, 'host' | 'domain' | 'allowHost' | 'allowOrigin'> &
    Partial<Pick<UpConfig, 'identityIssuer'>>,
  machineName: string,
): WebAccess {
  const hosts: HostPattern[] = [...allowHost];
  const base = domain === undefined ? undefined : parseAuthority(domain)?.host;
  if (base !== undefined) hosts.push({ kind: 'exact', host: base }, { kind: 'below', host: base });
  // Verifiers of identity tokens ask under this name.
  const issuer = identityIssuer && parseAuthority(new URL(identityIssuer).host)?.host;
  if (issuer) hosts.push({ kind: 'exact', host: issuer });
  const machine = isLoopbackHost(host) ? undefined : parseAuthority(machineName)?.host;
  if (machine !== undefined) hosts.push({ kind: 'exact', host: machine });
  return { hosts, origins: allowOrigin };
}
