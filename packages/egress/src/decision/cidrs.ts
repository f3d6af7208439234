import { isIPv4 } from 'node:net';
import { isIPv4Network } from '@islet/contracts';

/** Which of many networks hold an address; a look-up takes as many steps as there are lengths of prefixes. */
export class Cidrs {
  /** By the number of bits that are not of the prefix: the narrowest first. */
  readonly #byHostBits: { hostBits: number; entries: Map<number, string> }[];

  /** @param entries IPv4 addresses and CIDRs; what is neither matches nothing */
  constructor(entries: readonly string[]) {
    const found = new Map<number, Map<number, string>>();
    for (const entry of entries) {
      const cidr = parseCidr(entry);
      if (!cidr) continue;
      const same = found.get(cidr.hostBits) ?? new Map<number, string>();
      found.set(cidr.hostBits, same);
      const key = networkOf(cidr.address, cidr.hostBits);
      if (!same.has(key)) same.set(key, entry);
    }
    this.#byHostBits = [...found]
      .map(([hostBits, same]) => ({ hostBits, entries: same }))
      .sort((a, b) => a.hostBits - b.hostBits);
  }

  /** The narrowest entry that holds an address, as it was written. */
  find(address: string): string | undefined {
    const number = numberOf(address);
    if (number === undefined) return undefined;
    for (const { hostBits, entries } of this.#byHostBits) {
      const entry = entries.get(networkOf(number, hostBits));
      if (entry !== undefined) return entry;
    }
    return undefined;
  }
}

function parseCidr(entry: string): { address: number; hostBits: number } | undefined {
  if (!isIPv4Network(entry)) return undefined;
  const [address = '', length = '32'] = entry.split('/');
  return { address: numberOf(address) as number, hostBits: 32 - Number(length) };
}

function numberOf(address: string): number | undefined {
  if (!isIPv4(address)) return undefined;
  return address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
}

function networkOf(address: number, hostBits: number): number {
  return Math.floor(address / 2 ** hostBits);
}

/** The fewest networks that hold these addresses and no others, in order. */
export function mergeAddresses(addresses: readonly string[]): string[] {
  let left = new Set(addresses.flatMap((address) => numberOf(address) ?? []));
  const found: { from: number; text: string }[] = [];
  for (let hostBits = 0; left.size > 0; hostBits++) {
    const wider = new Set<number>();
    for (const network of left) {
      const sibling = network % 2 === 0 ? network + 1 : network - 1;
      if (hostBits < 32 && left.has(sibling)) wider.add(Math.floor(network / 2));
      else {
        const from = network * 2 ** hostBits;
        found.push({ from, text: hostBits === 0 ? formatted(from) : `${formatted(from)}/${32 - hostBits}` });
      }
    }
    left = wider;
  }
  return found.sort((a, b) => a.from - b.from).map(({ text }) => text);
}

function formatted(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
