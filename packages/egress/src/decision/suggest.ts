import type { EgressVerdict } from '@islet/contracts';
import { getDomain } from 'tldts';
import { mergeAddresses } from './cidrs.ts';
import { compilePolicy } from './decide.ts';

/** Lists that an owner may put in force as they are. */
export interface SuggestedRules {
  allowOut: string[];
  denyOut: string[];
}

/** So many names below one domain are suggested as a wildcard. */
const SEVERAL = 3;

/**
 * The shortest rules that would have allowed what was recorded, with all else denied: names where connections asked for
 * one, a wildcard for three or more below one domain, addresses for the rest. A wildcard is never wider than what one owner can
 * register, so none is suggested for all names below `com` or `github.io`.
 * @param verdicts what was allowed, in any order; what was denied is not suggested
 */
export function suggest(verdicts: readonly EgressVerdict[]): SuggestedRules {
  const allowed = verdicts.filter(({ decision }) => decision === 'allowed');
  const names = new Set(allowed.flatMap(({ serverName }) => (serverName === undefined ? [] : [serverName])));
  const denyOut = ['0.0.0.0/0'];
  const byName = suggestNames(names);
  const { decide } = compilePolicy({ allowOut: byName, denyOut, learning: false, rules: [] });
  // The resolver that comes with names needs no rule of its own.
  const addresses = allowed
    .filter(({ serverName }) => serverName === undefined)
    .filter(
      ({ destinationIp, destinationPort }) =>
        decide({ kind: 'none', address: destinationIp, port: destinationPort }).decision === 'denied',
    )
    .map(({ destinationIp }) => destinationIp);
  return { allowOut: [...byName, ...mergeAddresses(addresses)], denyOut };
}

function suggestNames(names: ReadonlySet<string>): string[] {
  const byDomain = new Map<string, string[]>();
  for (const name of names) {
    const domain = getDomain(name, { allowPrivateDomains: true, validateHostname: false }) ?? name;
    byDomain.set(domain, [...(byDomain.get(domain) ?? []), name]);
  }
  return [...byDomain]
    .flatMap(([domain, ofDomain]) => {
      const below = ofDomain.filter((name) => name !== domain);
      if (below.length < SEVERAL) return ofDomain;
      const apex = ofDomain.length > below.length ? [domain] : [];
      return [...apex, `*.${narrowestAbove(below)}`];
    })
    .sort();
}

/** The longest name that all of these are below; none of them is it itself. */
function narrowestAbove(names: readonly string[]): string {
  const labels = names.map((name) => name.split('.').reverse());
  const [first = []] = labels;
  const shortest = Math.min(...labels.map(({ length }) => length));
  let shared = 0;
  while (shared < shortest - 1 && labels.every((other) => other[shared] === first[shared])) shared++;
  return first.slice(0, shared).reverse().join('.');
}
