import type { EgressVerdict } from '@islet/contracts';
import { type CompiledPolicy, compilePolicy } from '@islet/egress';
import type { Flow } from '@islet/network';
import { type EgressOwner, needsGateway, policyOf } from './policy.ts';

type Counted = Flow & Pick<EgressVerdict, 'decision'>;

interface Known extends EgressOwner {
  policy: CompiledPolicy;
  hasEnded: boolean;
}

const DNS_PORT = 53;

/** What sandboxes begin without the gateway, by what the firewall has counted, told as what it has decided. */
export class DirectFlows {
  /** By the address of the slot. */
  readonly #owners = new Map<string, Known>();
  /** What was told already of what is still counted. */
  #told = new Map<string, number>();

  /** How many sandboxes there are whose flows are of interest. */
  get size(): number {
    return this.#owners.size;
  }

  begin(address: string, owner: EgressOwner): void {
    const policy = compilePolicy(policyOf(owner.config.egress));
    this.#owners.set(address, { ...owner, policy, hasEnded: false });
  }

  /** What it began last is still told. */
  end(address: string): void {
    const known = this.#owners.get(address);
    if (known) known.hasEnded = true;
  }

  /** What was counted since the last time. */
  take(counted: readonly Counted[], nowMs: number): EgressVerdict[] {
    const told = new Map<string, number>();
    const verdicts: EgressVerdict[] = [];
    for (const flow of counted) {
      const owner = this.#owners.get(flow.source);
      if (!owner) continue;
      const key = [flow.decision, flow.source, flow.destination, flow.protocol, flow.port].join(' ');
      const before = this.#told.get(key) ?? 0;
      told.set(key, flow.count);
      // It was forgotten meanwhile, and counted anew.
      const connections = flow.count >= before ? flow.count - before : flow.count;
      if (connections > 0) verdicts.push(verdictOf(owner, flow, connections, nowMs));
    }
    this.#told = told;
    for (const [address, { hasEnded }] of this.#owners) if (hasEnded) this.#owners.delete(address);
    return verdicts;
  }
}

function verdictOf(owner: Known, flow: Counted, connections: number, nowMs: number): EgressVerdict {
  const { teamId, sandboxId, templateId, buildId } = owner.config;
  return {
    ...{ teamId, sandboxId, executionId: owner.executionId, templateId, buildId },
    ...{ firstSeenMs: nowMs, lastSeenMs: nowMs, protocol: flow.protocol },
    ...{ destinationIp: flow.destination, destinationPort: flow.port },
    ...{ decision: flow.decision, ...ruleOf(owner, flow), connections },
  };
}

/** The firewall says what it did and not why: the policy that it has been given says it. */
function ruleOf({ policy }: Known, flow: Counted): Pick<EgressVerdict, 'matchType' | 'rule'> {
  const { destination: address, port, protocol } = flow;
  const { decision, rule, matchType } = policy.decide({ kind: 'none', address, port });
  if (decision === flow.decision) return { matchType, ...(rule !== '' && { rule }) };
  if (flow.decision === 'allowed') {
    return port === DNS_PORT ? { matchType: 'dns', rule: address } : { matchType: 'replaced' };
  }
  return { matchType: protocol === 'tcp' && needsGateway(policy.policy) ? 'no-gateway' : 'limit' };
}
