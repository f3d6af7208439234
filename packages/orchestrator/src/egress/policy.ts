import { isIP } from 'node:net';
import type { orchestratorProto } from '@islet/contracts';
import type { EgressPolicy, GatedSandbox } from '@islet/egress';
import type { EgressRules, Slot } from '@islet/network';

/** Whose traffic leaves a slot. */
export interface EgressOwner {
  config: orchestratorProto.SandboxConfig;
  executionId: string;
}

/** Sandboxes that may reach a name may ask it where names are. */
const PUBLIC_RESOLVER = '8.8.8.8';

/** What the owner of a sandbox said, as the gateway takes it. */
export function policyOf(egress: orchestratorProto.Egress | undefined): EgressPolicy {
  const { allowOut = [], denyOut = [], learning = false, domainRules = [], proxy } = egress ?? {};
  return {
    ...(egress?.allowInternetAccess !== undefined && { allowInternetAccess: egress.allowInternetAccess }),
    ...{ allowOut: [...allowOut], denyOut: [...denyOut], learning },
    rules: domainRules.flatMap(({ domain, rules }) =>
      rules.flatMap(({ transform }) =>
        transform ? [{ domain: domain.toLowerCase(), headers: { ...transform.headers } }] : [],
      ),
    ),
    ...(proxy && {
      proxy: {
        address: proxy.address,
        ...(proxy.username !== undefined && { username: proxy.username }),
        ...(proxy.password !== undefined && { password: proxy.password }),
      },
    }),
  };
}

/** Whether TCP must go by the gateway: what restricts nothing leaves as fast as it can. */
export function needsGateway(policy: EgressPolicy): boolean {
  const { allowInternetAccess, denyOut, learning, rules, proxy } = policy;
  return (
    allowInternetAccess === false || denyOut.length > 0 || learning || rules.length > 0 || proxy !== undefined
  );
}

/** The slot's share of a policy: UDP and ICMP by address, and TCP to the gateway. */
export function firewallRules(policy: EgressPolicy, resolvers: readonly string[]): EgressRules {
  const gated = needsGateway(policy);
  if (policy.learning) return { allowOut: [], denyOut: [], gated };
  const { allowInternetAccess, allowOut, denyOut } = policy;
  const hasNames = allowOut.some((entry) => isIP(entry.split('/')[0] ?? '') === 0);
  return {
    ...{ allowInternetAccess, allowOut, denyOut, gated },
    ...(hasNames && { resolvers: [PUBLIC_RESOLVER, ...resolvers] }),
  };
}

export function gatedSandbox(
  slot: Slot,
  { config, executionId }: EgressOwner,
  policy: EgressPolicy,
): GatedSandbox {
  const { teamId, sandboxId, templateId, buildId, workloadTokens } = config;
  return {
    address: slot.sandboxAddress,
    ...{ teamId, sandboxId, executionId, templateId, buildId },
    workloadTokens: workloadTokens.map(({ name, audience }) => ({ name, audience })),
    policy,
  };
}
