/**
 * What sandboxes are reached under if the operator names no domain. Certificates for `*.localhost` are refused: clients
 * ask for two labels behind a wildcard.
 */
export const LOCAL_DOMAIN = 'islet.localhost';

const LOCALHOST = 'localhost';

/** What a certificate of the edge is for. */
export interface ServedNames {
  /** Names, also `*.name`. */
  dns: string[];
  /** Addresses. */
  ip: string[];
}

/** What the edge of `domain`, a name without a port, answers to: that, its own names, and those of older Islets. */
export function servedNames(domain: string): ServedNames {
  const domains = new Set([LOCALHOST, LOCAL_DOMAIN, domain]);
  return { dns: [...domains].flatMap((name) => [name, `*.${name}`]), ip: ['127.0.0.1', '::1'] };
}

/**
 * What an authority that signs for the edge of `domain` may sign for: names (each with all below it) and networks.
 * Beyond them a client that trusts it believes nothing that it signs.
 */
export function permittedNames(domain: string): ServedNames {
  const isLocal = domain === LOCALHOST || domain.endsWith(`.${LOCALHOST}`);
  return { dns: isLocal ? [LOCALHOST] : [LOCALHOST, domain], ip: ['127.0.0.0/8', '::1/128'] };
}
