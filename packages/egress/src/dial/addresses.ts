import { networkInterfaces } from 'node:os';
import { isPublic } from '../decision/decide.ts';

/** How long the machine's own addresses are taken for what they were, ms. */
const OWN_MS = 5_000;

/** What a sandbox's connections may be made to: public addresses that are not this machine's own. */
export class ReachableAddresses {
  #own = new Set<string>();
  #readAt = Number.NEGATIVE_INFINITY;

  include(address: string): boolean {
    if (!isPublic(address)) return false;
    if (performance.now() - this.#readAt > OWN_MS) this.#read();
    return !this.#own.has(address);
  }

  #read(): void {
    const found = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    this.#own = new Set(found.map(({ address }) => address));
    this.#readAt = performance.now();
  }
}
