import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { OWN_NETWORKS, parseNetworkList, SPECIAL_NETWORKS } from '@islet/contracts';

/** Where webhooks may be sent. */
export interface Destinations {
  allows(address: string): boolean;
  /**
   * The addresses of a host that may be reached.
   * @throws DestinationError if there are none
   */
  resolve(host: string, signal: AbortSignal): Promise<string[]>;
}

/** Why a destination cannot be reached, without a word to it. */
export class DestinationError extends Error {
  override readonly name = 'DestinationError';
  readonly kind: 'refused' | 'unresolved';

  constructor(kind: DestinationError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** Of one question to one server, ms. */
const QUESTION_MS = 3_000;

/** @param allow networks that may be reached in addition to public addresses @throws RangeError if one is none */
export function createDestinations(allow: readonly string[]): Destinations {
  const allowed = parseNetworkList(allow);
  const denied = parseNetworkList([...SPECIAL_NETWORKS, ...OWN_NETWORKS]);
  const allows = (address: string) =>
    allowed.include(address) || (isIP(address) !== 0 && !denied.include(address));
  return {
    allows,
    async resolve(host, signal) {
      const found = await addressesOf(host, signal);
      const reachable = found.filter(allows);
      if (reachable.length === 0) throw refused(host);
      return reachable;
    },
  };
}

/** For a host that may not be reached. */
export function refused(host: string): DestinationError {
  return new DestinationError(
    'refused',
    `webhooks may not reach ${host} on this Islet; its operator can allow it with --webhook-allow`,
  );
}

/** By DNS alone: what the system would ask besides runs on threads that all of Islet shares, and one slow server could hold them. */
async function addressesOf(host: string, signal: AbortSignal): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  // As RFC 6761 has it.
  if (host === 'localhost' || host.endsWith('.localhost')) return ['127.0.0.1', '::1'];
  const resolver = new Resolver({ timeout: QUESTION_MS, tries: 2 });
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length > 0) return addresses;
    const [first] = answers;
    const cause = first.status === 'rejected' ? first.reason : undefined;
    throw new DestinationError('unresolved', `${host} has no address`, { cause });
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}
