import { Resolver } from 'node:dns/promises';
import { DialError } from './dial-error.ts';

/** Of one question to one server, ms, and how often it is asked. */
const QUESTION_MS = 3_000;
const TRIES = 2;
/** How long an answer is used, whatever its servers say, s. */
const [SHORTEST_S, LONGEST_S] = [1, 60];
const MOST_ANSWERS = 4_096;
/** After that the host's own settings are read again, ms. */
const RESOLVER_MS = 30_000;

interface Answer {
  addresses: string[];
  /** On `performance.now()`. */
  until: number;
}

/**
 * Asks the DNS for names' IPv4 addresses: never the machine's file of hosts, never what a sandbox says. Answers are kept as
 * long as their servers say, within bounds.
 */
export class Names {
  readonly #nameservers: readonly string[] | undefined;
  readonly #answers = new Map<string, Answer>();
  readonly #asked = new Map<string, Promise<string[]>>();
  #resolver: { resolver: Resolver; until: number } | undefined;

  /** @param nameservers as `address` or `address:port`; as /etc/resolv.conf says if there is none */
  constructor(nameservers?: readonly string[]) {
    this.#nameservers = nameservers;
  }

  /** @returns at least one address @throws DialError if it has none, or nobody answers */
  async resolve(name: string): Promise<string[]> {
    const known = this.#answers.get(name);
    if (known && known.until > performance.now()) return known.addresses;
    let asked = this.#asked.get(name);
    if (!asked) {
      asked = this.#ask(name).finally(() => this.#asked.delete(name));
      this.#asked.set(name, asked);
    }
    return asked;
  }

  async #ask(name: string): Promise<string[]> {
    try {
      const found = await this.#current().resolve4(name, { ttl: true });
      const ttl = Math.min(...found.map((record) => record.ttl));
      const addresses = found.map(({ address }) => address);
      if (addresses.length === 0) throw new Error('an empty answer');
      this.#keep(name, addresses, ttl);
      return addresses;
    } catch (cause) {
      throw new DialError('unresolved', `${name} has no IPv4 address`, { cause });
    }
  }

  #keep(name: string, addresses: string[], ttl: number): void {
    this.#answers.delete(name);
    const seconds = Math.min(LONGEST_S, Math.max(SHORTEST_S, ttl));
    this.#answers.set(name, { addresses, until: performance.now() + seconds * 1000 });
    if (this.#answers.size <= MOST_ANSWERS) return;
    const [oldest] = this.#answers.keys();
    if (oldest !== undefined) this.#answers.delete(oldest);
  }

  #current(): Resolver {
    const now = performance.now();
    if (!this.#resolver || this.#resolver.until < now) {
      const resolver = new Resolver({ timeout: QUESTION_MS, tries: TRIES });
      if (this.#nameservers) resolver.setServers(this.#nameservers);
      this.#resolver = { resolver, until: now + RESOLVER_MS };
    }
    return this.#resolver.resolver;
  }
}
