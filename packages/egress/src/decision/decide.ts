import { ALWAYS_DENIED, isIPv4Network } from '@islet/contracts';
import type { EgressPolicy } from '../policy.ts';
import { Cidrs } from './cidrs.ts';
import { normalName } from './names.ts';

/** Where a connection goes, as far as that is known before it is dialled. */
export interface Destination {
  /** The name it asked for; absent if it asked for none. */
  name?: string | undefined;
  /** Where the name was read: TLS's server name, or HTTP's Host. */
  kind: 'tls' | 'http' | 'none';
  /** IPv4 address that the sandbox dialled. */
  address: string;
  port: number;
}

/**
 * What kind of rule decided.
 * `dns`: the resolver that comes with the first allowed name. `learning`: a policy that records. `default`: no entry.
 */
export type MatchType = 'always-denied' | 'domain' | 'cidr' | 'dns' | 'learning' | 'default';

export interface Decision {
  decision: 'allowed' | 'denied';
  /** The entry of the owner's lists that decided, as it was written; empty if none did. */
  rule: string;
  matchType: MatchType;
}

/** A policy that is ready to be asked: what it takes does not grow with the number of its entries. */
export interface CompiledPolicy {
  readonly policy: EgressPolicy;
  /** Whether some names are allowed by it. */
  readonly hasNames: boolean;
  /** The decision about connections that ask for a name, if an allowed name matches: they are dialled by it. */
  allowsName(name: string): Decision | undefined;
  decide(destination: Destination): Decision;
}

/** Sandboxes resolve names there; it is allowed with the first name. */
const SANDBOX_RESOLVER = '8.8.8.8';
const DNS_PORT = 53;

const alwaysDenied = new Cidrs(ALWAYS_DENIED);

/** Whether an address may be reached by any sandbox, whatever its owner says. False for what is no IPv4 address. */
export function isPublic(address: string): boolean {
  return isIPv4Network(address) && !address.includes('/') && alwaysDenied.find(address) === undefined;
}

/** Makes a policy ready. Entries of a list in any order and any number of times are the same policy. */
export function compilePolicy(policy: EgressPolicy): CompiledPolicy {
  const names = new NamePatterns(policy.allowOut.filter((entry) => !isIPv4Network(entry)));
  const allowed = new Cidrs(policy.allowOut);
  const denied = new Cidrs(policy.allowInternetAccess === false ? ['0.0.0.0/0'] : policy.denyOut);

  const allowsName = (name: string): Decision | undefined => {
    const rule = names.find(name);
    return rule === undefined ? undefined : { decision: 'allowed', rule, matchType: 'domain' };
  };
  return {
    policy,
    hasNames: !names.isEmpty,
    allowsName,
    decide({ name, kind, address, port }) {
      if (!isPublic(address)) return { decision: 'denied', rule: '', matchType: 'always-denied' };
      const byName = name === undefined || kind === 'none' ? undefined : allowsName(name);
      if (byName) return byName;
      const allow = allowed.find(address);
      if (allow !== undefined) return { decision: 'allowed', rule: allow, matchType: 'cidr' };
      if (!names.isEmpty && address === SANDBOX_RESOLVER && port === DNS_PORT) {
        return { decision: 'allowed', rule: SANDBOX_RESOLVER, matchType: 'dns' };
      }
      if (policy.learning) return { decision: 'allowed', rule: '', matchType: 'learning' };
      const deny = denied.find(address);
      if (deny !== undefined) return { decision: 'denied', rule: deny, matchType: 'cidr' };
      return { decision: 'allowed', rule: '', matchType: 'default' };
    },
  };
}

/**
 * Decides one connection: an allowed name beats an allowed address, which beats a denied one, and the rest is allowed.
 * Who decides many for one policy compiles it once.
 */
export function decide(policy: EgressPolicy, destination: Destination): Decision {
  return compilePolicy(policy).decide(destination);
}

/** Allowed names: exact ones, `*.example.com` for all below it, `*` for all. */
class NamePatterns {
  readonly #exact = new Map<string, string>();
  readonly #below = new Map<string, string>();
  #any: string | undefined;

  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      if (entry === '*') {
        this.#any = entry;
        continue;
      }
      const isWildcard = entry.startsWith('*.');
      const name = normalName(isWildcard ? entry.slice(2) : entry);
      if (name === undefined) continue;
      const same = isWildcard ? this.#below : this.#exact;
      if (!same.has(name)) same.set(name, entry);
    }
  }

  get isEmpty(): boolean {
    return this.#any === undefined && this.#exact.size === 0 && this.#below.size === 0;
  }

  /** The narrowest entry that a name matches, as it was written. */
  find(text: string): string | undefined {
    const name = normalName(text);
    if (name === undefined) return undefined;
    const exact = this.#exact.get(name);
    if (exact !== undefined) return exact;
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      const below = this.#below.get(name.slice(dot + 1));
      if (below !== undefined) return below;
    }
    return this.#any;
  }
}
