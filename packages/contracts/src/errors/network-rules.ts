import { IsletError } from './error.ts';

export function invalidDeniedCidr(entry: string): IsletError {
  return new IsletError(400, `invalid denied CIDR ${entry}`);
}

export function invalidAllowedAddress(entry: string): IsletError {
  return new IsletError(400, `invalid allowed address ${entry}`);
}

export function allowedDomainsWithoutDeny(): IsletError {
  return new IsletError(
    400,
    "When specifying allowed domains in allow out, you must include 'ALL_TRAFFIC' in deny out to block all other traffic.",
  );
}

export function allowedDomainsNotOffered(domain: string): IsletError {
  return new IsletError(
    400,
    `Domains in allow out are not offered yet ('${domain}'): give IP addresses or CIDR blocks.`,
  );
}

export function egressProxyNotOffered(): IsletError {
  return new IsletError(403, 'Egress proxy (network.egressProxy) is not enabled for this team.');
}

export function invalidMaskRequestHost(host: string): IsletError {
  return new IsletError(400, `invalid mask request host ${JSON.stringify(host)}`);
}
