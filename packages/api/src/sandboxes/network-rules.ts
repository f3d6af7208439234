import { isIP } from 'node:net';
import { create } from '@bufbuild/protobuf';
import {
  allowedDomainsWithoutDeny,
  invalidAllowedAddress,
  invalidDeniedCidr,
  invalidMaskRequestHost,
  orchestratorProto,
} from '@islet/contracts';
import type { Static } from 'typebox';
import { parseEgressProxy } from './egress-proxy.ts';
import type { NetworkConfig, NetworkUpdate } from './shapes.ts';
import { parseTransformRules } from './transform-rules.ts';

/** How the SDKs spell "everything". */
const ALL_TRAFFIC = '0.0.0.0/0';

/** The address part of an IP or CIDR, or undefined if the text is neither. */
function addressOf(text: string): string | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0 || address.includes('%')) return undefined;
  if (length === undefined) return address;
  // Nothing reads a leading zero as an octal number then.
  const bits = /^(?:0|[1-9]\d{0,2})$/.test(length) ? Number(length) : Number.NaN;
  return bits <= (version === 4 ? 32 : 128) ? address : undefined;
}

/** True for 0.0.0.0 and every spelling of ::. */
function isUnspecified(address: string): boolean {
  return isIP(address) === 4 ? address === '0.0.0.0' : /^[0:]+(?:0\.0\.0\.0)?$/.test(address);
}

type EgressRequest = Pick<
  Static<typeof NetworkUpdate>,
  'allowOut' | 'denyOut' | 'learning' | 'egressProxy' | 'rules' | 'allow_internet_access'
>;

/**
 * Checks the outgoing rules of a create or an update, with the protocol's messages. Where a proxy is, `checkEgressProxy` says.
 * @param envdVersion of the sandbox: an old one takes no rules for domains
 * @throws IsletError 400 or 403
 */
export function parseEgress(request: EgressRequest, envdVersion: string): orchestratorProto.Egress {
  const {
    allowOut = [],
    denyOut = [],
    learning = false,
    egressProxy,
    rules,
    allow_internet_access,
  } = request;
  for (const entry of denyOut) {
    const address = addressOf(entry);
    if (address === undefined || (isUnspecified(address) && entry !== ALL_TRAFFIC)) {
      throw invalidDeniedCidr(entry);
    }
  }
  for (const entry of allowOut) {
    const address = addressOf(entry);
    if (address !== undefined && isUnspecified(address) && !entry.includes('/')) {
      throw invalidAllowedAddress(entry);
    }
  }
  const namesOne = allowOut.some((entry) => addressOf(entry) === undefined);
  if (namesOne && !denyOut.includes(ALL_TRAFFIC)) {
    throw allowedDomainsWithoutDeny();
  }
  const proxy = parseEgressProxy(egressProxy ?? undefined);
  return create(orchestratorProto.EgressSchema, {
    allowOut,
    denyOut,
    learning,
    domainRules: parseTransformRules(rules, envdVersion),
    ...(proxy && { proxy }),
    ...(allow_internet_access !== undefined && { allowInternetAccess: allow_internet_access }),
  });
}

/** The incoming rules of a create; they are fixed for the sandbox's life. */
export function parseIngress(network: Static<typeof NetworkConfig> | undefined): orchestratorProto.Ingress {
  const maskRequestHost = network?.maskRequestHost;
  if (maskRequestHost !== undefined && !/^[\x21-\x7e]{1,255}$/.test(maskRequestHost)) {
    throw invalidMaskRequestHost(maskRequestHost);
  }
  return create(orchestratorProto.IngressSchema, {
    allowPublicTraffic: network?.allowPublicTraffic ?? true,
    ...(maskRequestHost !== undefined && { maskRequestHost }),
  });
}
