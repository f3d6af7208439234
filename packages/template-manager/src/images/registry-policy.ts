import { isIP } from 'node:net';
import { OWN_NETWORKS, parseNetworkList, SPECIAL_NETWORKS } from '@islet/contracts';

/** Which addresses a build may reach for an image. */
export interface RegistryPolicy {
  allows(address: string): boolean;
}

export interface RegistryPolicyOptions {
  /** Addresses and networks (`10.1.2.3`, `10.0.0.0/8`) that are allowed whatever the rest says. */
  allow: readonly string[];
  /** Whether this machine itself and private networks are allowed: if only the operator's own programs reach the API. */
  ownNetworks: boolean;
}

/** @throws RangeError if an entry of `allow` is no address and no network. */
export function createRegistryPolicy({ allow, ownNetworks }: RegistryPolicyOptions): RegistryPolicy {
  const allowed = parseNetworkList(allow);
  const denied = parseNetworkList(ownNetworks ? SPECIAL_NETWORKS : [...SPECIAL_NETWORKS, ...OWN_NETWORKS]);
  return {
    allows: (address) => allowed.include(address) || (isIP(address) !== 0 && !denied.include(address)),
  };
}
