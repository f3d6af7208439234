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

/** @param reason what is wrong, as the protocol has it */
export function invalidEgressProxy(reason: string, cause?: unknown): IsletError {
  return new IsletError(400, `Invalid egress proxy config: ${reason}`, { cause });
}

export function invalidMaskRequestHost(host: string): IsletError {
  return new IsletError(400, `invalid mask request host ${JSON.stringify(host)}`);
}
